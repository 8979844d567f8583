"""The reference of deployment files and their JSON Schema: `python -m shadow_deployment.config.reference FOLDER`.

It writes FOLDER/README.md, with the example files of FOLDER/examples, and the schema's file; `--check` only compares.
The schema says which keys and types there are; contradictions between keys are found by `shadow validate` alone.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.model import KINDS
from shadow_deployment.config.policy import RULES
from shadow_deployment.metrics.catalog import METRICS, Metric, metrics_of

Schema = Mapping[str, Any]

SCHEMA_FILE: Final = Path(__file__).with_name("deployment.schema.json")  # in the wheel, for `shadow schema`
_INTRODUCTION: Final = """\
# Deployment files

Each YAML file in this folder is one deployment: one champion, its challengers, and one daily DAG, `shadow_<name>`.
Another folder is named by the option `--deployments`, by `SHADOW_DEPLOYMENTS`, by `[shadow] deployments` in Airflow's
configuration, or in the DAG file by `shadow_dags("FOLDER")`. Subfolders are not read. `shadow validate FILE` reports
every mistake with its line; Airflow shows the same text as an import error of that deployment and still loads the
others.

`shadow init NAME` proposes such a file from a table. `shadow schema` prints the JSON Schema that editors complete and
check it by: a first line `# yaml-language-server: $schema=deployment.schema.json` names that file beside it.

`make reference` generates this page from the schema in `shadow_deployment/config/`; edit the descriptions there.
"""
_MODELS: Final = """
A relative path, of a model or a suite, is looked for beside the deployment's file first, then in the project.

`python`, `mlflow`, `skops` and `sklearn`, and `onnx` with `limits`, run in a process of their own without Airflow's
connections in its environment. A call that hangs, crashes, exceeds its limits or returns invalid predictions is an
error of the rows that caused it; other rows and challengers go on. `shadow doctor` says whether such a process is kept
from the environments of other processes. A task has processes of its own. `shadow run --from --to` and `shadow replay`
load each model once, and show it the same few requests again before each day: one that then predicts something else
keeps state or draws at random, and is loaded anew for each day, with a warning.
Endpoints receive at most 256 rows a call; busy
ones are retried as their `Retry-After` says. Credentials from `conn_id` go only to the host that the connection names.
"""
_METRICS: Final = """
*Sequence*: judged by a confidence sequence over all days. *Day*: operational, judged on the day's own value. *No
champion value*: a rule can only bound the challenger's value, with `at_most` or `at_least`. `error_rate`: the share of
requests without a usable prediction; `agreement`: of those on which both predict the same; `latency_ratio_*`: the
challenger's latency as a multiple of the champion's. Metrics of your own, `metrics[]`, are judged by a sequence and
take part in rules, slices, charts, `calibrate` and `plan` as losses do.
"""
_TYPES: Final = {"string": "text", "boolean": "`true` or `false`"}
_NONE: Final = "\N{EN DASH}"
_BOUNDS: Final = {"exclusiveMinimum": "> ", "minimum": "≥ ", "exclusiveMaximum": "< ", "maximum": "≤ "}


class _WithoutFieldTitles(GenerateJsonSchema):
    """A field is called by its key: a title would only repeat it."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 (of no field)
        return False


@cache
def deployment_schema() -> dict[str, Any]:
    """Return the schema as plain data: draft 2020-12, with a description of every key."""
    schema = Deployment.model_json_schema(schema_generator=_WithoutFieldTitles)
    head = {"$schema": GenerateJsonSchema.schema_dialect, "title": "Deployment file of shadow-deployment"}
    return head | {key: value for key, value in schema.items() if key != "title"}


def schema_text() -> str:
    """Return the schema as its file holds it."""
    return json.dumps(deployment_schema(), indent=2, ensure_ascii=False) + "\n"


def render_reference(examples: Sequence[Path]) -> str:
    """Return the reference as Markdown: keys, models, rules, metrics and full examples.

    Args:
        examples: example files, of which each becomes a code block.
    """
    parts = [_INTRODUCTION, *_sections(), "## Models\n"]
    kinds = [
        (_code(re.split(", | or ", kind.form)), f"{kind.meaning[0].upper()}{kind.meaning[1:]}.")
        for kind in KINDS.values()
    ]
    parts += [_table(("`model`", "Source of the predictions"), kinds), _MODELS, "## Rules\n"]
    rules = [(f"`{name}`", meaning) for name, meaning in RULES.items()]
    parts += [_table(("`is`", "Passes if"), rules), "", "## Metrics\n"]
    names = {name for task in ("binary", "regression", "multiclass") for name in metrics_of(task)}
    metrics = [_metric(metric) for metric in METRICS.values() if metric.name in names]
    parts += [_table(("Metric", "Meaning", "Tasks", "Better", "Judged by"), metrics), _METRICS, "## Examples\n"]
    for path in examples:
        parts += [f"### [{path.name}](examples/{path.name})\n", f"```yaml\n{path.read_text(encoding='utf-8')}```\n"]
    return "\n".join(parts)


def _sections() -> Iterator[str]:
    """Yield the heading, docstring and table of keys of each section, the outer ones first."""
    schema = deployment_schema()
    yield f"## Top level\n\n{schema['description']}\n\n{_keys(schema)}\n"
    for name, paths in _paths(schema, schema["$defs"]).items():
        section = schema["$defs"][name]
        kind = section["properties"].get("kind", {}).get("const")
        heading = _code(paths) + (f" of kind `{kind}`" if kind else "")
        yield f"## {heading}\n\n{section['description']}\n\n{_keys(section)}\n"


def _keys(section: Schema) -> str:
    required = section.get("required", ())
    rows = [
        (f"`{key}`", _type(value), "**required**" if key in required else _default(value), value["description"])
        for key, value in section["properties"].items()
    ]
    return _table(("Key", "Type", "Default", "Meaning"), rows)


def _paths(section: Schema, definitions: Mapping[str, Schema], prefix: str = "") -> dict[str, list[str]]:
    """Return where the sections within a section stand in a file, by the name of their definition."""
    paths: dict[str, list[str]] = {}
    for key, value in section["properties"].items():
        for name, suffix in _references(value):
            path = f"{prefix}{key}{suffix}"
            paths.setdefault(name, []).append(path)
            for inner, others in _paths(definitions[name], definitions, f"{path}.").items():
                paths.setdefault(inner, []).extend(others)
    return paths


def _references(value: Schema) -> Iterator[tuple[str, str]]:
    """Yield the definitions that a key refers to, and what follows the key in their headings."""
    if "$ref" in value:
        yield value["$ref"].rpartition("/")[2], ""
    for part in _alternatives(value):
        yield from _references(part)
    for name, suffix in _references(value["items"]) if "items" in value else ():
        yield name, f"[]{suffix}"


def _alternatives(value: Schema) -> list[Schema]:
    return [part for part in value.get("anyOf", value.get("oneOf", [])) if part.get("type") != "null"]


def _type(value: Schema) -> str:
    text = value.get("type", "section")
    if parts := _alternatives(value):
        text = " or ".join(dict.fromkeys(map(_type, parts)))
    elif "const" in value or "enum" in value:
        text = _code(value["enum"] if "enum" in value else [value["const"]])
    elif text == "array":
        text = f"list of {_type(value['items'])}".replace("list of section", "list of sections")
    elif text == "object":
        text = f"{_type(value['additionalProperties'])} by name"
    elif value.get("format") == "date":
        text = "date, YYYY-MM-DD"
    bounds = [f"{sign}{value[bound]:,}" for bound, sign in _BOUNDS.items() if bound in value]
    return ", ".join([_TYPES.get(str(text), str(text)), *bounds])


def _default(value: Schema) -> str:
    default = value.get("default")
    if default is None or default in ([], {}) or isinstance(default, dict):
        return _NONE
    return f"`{json.dumps(default) if not isinstance(default, str) else default}`"


def _metric(metric: Metric) -> tuple[str, ...]:
    better = "higher" if metric.higher_is_better else "lower" if metric.compares or metric.operational else _NONE
    judged = "day" if metric.operational else "sequence"
    return (
        f"`{metric.name}`",
        metric.title,
        ", ".join(sorted(metric.tasks)),
        better,
        judged if metric.compares else f"{judged}; no champion value",
    )


def _code(words: Sequence[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def main(arguments: Sequence[str]) -> int:
    """Write or check FOLDER/README.md and the schema; return the exit code."""
    folders = [Path(argument) for argument in arguments if argument != "--check"]
    if len(folders) != 1 or not folders[0].is_dir():
        sys.stderr.write("usage: python -m shadow_deployment.config.reference FOLDER [--check]\n")
        return 2
    texts = {
        folders[0] / "README.md": render_reference(sorted((folders[0] / "examples").glob("*.yaml"))),
        SCHEMA_FILE: schema_text(),
    }
    stale = [path for path, text in texts.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if "--check" in arguments:
            sys.stderr.write(f"{path} is stale: run make reference\n")
        else:
            path.write_text(texts[path], encoding="utf-8")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
