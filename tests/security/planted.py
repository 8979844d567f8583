"""What tests plant to search for it afterwards: passwords, tokens, and the values of one request like no other."""

import html
import json
import urllib.parse
from dataclasses import dataclass, field

from tests.production import World

PASSWORD = "p@ss/w:rd%41#?& ünïq'\"\\7"
TOKEN = "tokenOfTheEndpoint/+=9"
HOOK = "hookTokenInThePath42"
SECRETS = [PASSWORD, "ünïq", TOKEN, HOOK]
NUMBER, TEXT = 7345129.25, "Rare Zanzibar Carrier"
VALUES = ["7345129", "7,345,129", "7.3451e", "7.345129", "Zanzibar"]
PLANTED = f"UPDATE flights.prediction_log SET distance = {NUMBER}, carrier = '{TEXT}' WHERE request_id = 'f0003'"


def plant(world: World) -> None:
    """Give one request of a production of its own the planted values."""
    world.change_production(PLANTED)


@dataclass
class Heard:
    """Whatever was said, by where it was said."""

    texts: dict[str, str] = field(default_factory=dict)

    def add(self, where: str, *texts: object) -> None:
        self.texts[where] = "\n".join([self.texts.get(where, ""), *map(str, texts)])

    def found(self, planted: str) -> list[str]:
        """Return where something was said, as it is or as a URL, JSON or HTML writes it."""
        forms = {
            planted,
            urllib.parse.quote(planted),
            urllib.parse.quote(planted, safe=""),
            urllib.parse.quote_plus(planted),
            json.dumps(planted)[1:-1],
            json.dumps(planted, ensure_ascii=False)[1:-1],
            html.escape(planted),
            repr(planted)[1:-1],
        }
        return [f"{form!r} in {where}" for where, text in self.texts.items() for form in forms if form in text]
