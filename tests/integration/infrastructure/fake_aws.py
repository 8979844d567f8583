"""A program in place of the AWS CLI: `python fake_aws.py FOLDER COMMAND ...`.

It records each call in FOLDER/calls, and answers with what FOLDER/answers has for the command: the `out` of the API,
which it queries by `--query` as the CLI does, or `text`; `err` and `code` where AWS refuses. A list answers one call
after the other. TOKEN stands for the `--client-request-token` of the newest call that had one.
"""

import json
import sys
from pathlib import Path
from typing import Any

import jmespath


def command(call: list[str]) -> str:
    return " ".join(call[: 3 if call[1] == "wait" else 2])


def option(call: list[str], name: str) -> str | None:
    return call[call.index(name) + 1] if name in call else None


def printed(value: Any) -> str:
    """Return a result as `--output text` prints it; a table has the same values."""
    if isinstance(value, list) and any(isinstance(row, list | dict) for row in value):
        return "\n".join(printed(row) for row in value)
    if isinstance(value, list | dict):
        return "\t".join(map(str, value.values() if isinstance(value, dict) else value))
    return str(value)


def main(folder: Path, call: list[str]) -> int:
    path = folder / "calls"
    calls = [*(json.loads(line) for line in (path.read_text().splitlines() if path.exists() else [])), call]
    path.write_text("".join(json.dumps(each) + "\n" for each in calls))
    tokens = [token for each in calls if (token := option(each, "--client-request-token"))]
    answers = json.loads((folder / "answers").read_text().replace("TOKEN", tokens[-1] if tokens else "TOKEN"))
    answer = answers.get(command(call), {})
    if isinstance(answer, list):
        before = sum(command(each) == command(call) for each in calls)
        answer = answer[min(before, len(answer)) - 1]
    if "out" in answer:
        print(printed(jmespath.search(option(call, "--query") or "@", answer["out"])))
    print(answer.get("text", ""), end="")
    print(answer.get("err", ""), end="", file=sys.stderr)
    return int(answer.get("code", 0))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
