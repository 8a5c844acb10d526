"""Print all public names with their docstrings as one page: python scripts/write_api_page.py > docs/api.md."""

import inspect
import re
from collections.abc import Iterator
from pydoc import locate

import tinynet

FURTHER = """schedules.constant schedules.step schedules.cosine
    experiments.run_experiment experiments.run_sweep experiments.load_run experiments.write_report
    experiments.from_python.SweepResult artifacts.stored_runs.StoredRun config.loading.load_config
    artifacts.onnx_export.export_onnx"""


def markdown(docstring: str) -> Iterator[str]:
    """Yield a numpydoc docstring part by part as Markdown: sections in bold, entries as lists, examples as code."""
    text, *sections = re.split(r"\n*^(\w+)\n-+\n", docstring.replace("::\n", ":\n"), flags=re.MULTILINE)
    yield text
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        if title in ("Parameters", "Attributes", "Raises", "Warns"):
            body = re.sub(r"^(\S.*?)( : .*)?$", r"- `\1`\2", body, flags=re.MULTILINE)
            body = re.sub(r"(- `.*)\n(?= )", r"\1\\\n", body)  # a line break
        yield f"**{title}**\n\n" + (f"```python\n{body}\n```" if title == "Examples" else body)


def entry(name: str, thing: object, level: str = "##") -> Iterator[str]:
    """Yield a name with its signature and docstring, then the methods and properties of a class."""
    yield f"{level} {name}"
    if callable(thing) and not (inspect.isclass(thing) and issubclass(thing, Exception)):
        parameters = [p.replace(annotation=p.empty) for p in inspect.signature(thing).parameters.values()]
        yield f"```\n{name}{inspect.Signature(parameters)}\n```".replace("(self, ", "(").replace("(self)", "()")
    yield from markdown(inspect.getdoc(thing) or "")
    for key, member in vars(thing).items() if inspect.isclass(thing) else ():
        if not key.startswith("_") and (isinstance(member, property) or inspect.isfunction(member)):
            yield from entry(f"{name}.{key}", member, "###")


entries = [part for name in [*tinynet.__all__, *FURTHER.split()] for part in entry(name, locate(f"tinynet.{name}"))]
print("# The public names\n\nWritten by `python scripts/write_api_page.py > docs/api.md`.", *entries, sep="\n\n")
