"""Numbers have sensible digits and units, and a text shows what would act unseen."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_deployment.base.numbers import NOTHING, count, decimals, number, percent, plural
from shadow_deployment.report.wording import Measure, capitalised, measure_of, moment, shorten, visible

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, NOTHING),
        (0, "0"),
        (0.0123456, "0.0123"),
        (-0.0123456, f"{MINUS}0.0123"),
        (1.5, "1.50"),
        (12345.678, "12,346"),
        (-0.0, "0"),
        (1e-9, f"1.0e{MINUS}09"),
        (99.95, "100.0"),
    ],
)
def test_a_number_has_three_significant_digits(value: float | None, words: str) -> None:
    assert number(value) == words


def test_a_sign_is_shown_where_it_means_something() -> None:
    assert (number(0.5, 1, signed=True), number(-0.5, 1, signed=True)) == ("+0.5", f"{MINUS}0.5")
    assert (number(0, 1, signed=True), number(-0.001, 1, signed=True)) == ("0.0", "0.0")


@given(st.floats(-1e9, 1e9))
def test_a_number_reads_back_as_itself(value: float) -> None:
    read = float(number(value).replace(",", "").replace(MINUS, "-"))
    assert read == pytest.approx(value, rel=0.06, abs=1e-6)


def test_decimals_tell_an_interval_apart() -> None:
    assert decimals([0.006308, 0.01886, 0.0722]) == 3
    assert decimals([0.01674, 0.04498, 0.1646], 3) == 3
    assert decimals([120, 340]) == 0
    assert decimals([0.5, 0.5]) == 2
    assert decimals([]) == 0
    assert decimals([None, 0.0]) == 0


@pytest.mark.parametrize(
    ("share", "words"),
    [(None, NOTHING), (0, "0\xa0%"), (1, "100\xa0%"), (0.5, "50\xa0%"), (0.0512, "5.1\xa0%"), (0.0004, "0.04\xa0%")],
)
def test_shares_are_percent(share: float | None, words: str) -> None:
    assert percent(share) == words


def test_metrics_have_their_units() -> None:
    assert measure_of("latency_p95").say(12.34) == "12.3\xa0ms"
    assert measure_of("latency_ratio_p95").say(1.5) == "1.50\xa0\N{MULTIPLICATION SIGN}"
    assert measure_of("error_rate").exact(0.001) == "0.1\xa0%"
    assert measure_of("accuracy", "difference").say(0.0123) == "1.23\xa0points"
    assert measure_of("brier_score", "share").say(-0.05) == f"{MINUS}5.00\xa0%"
    assert measure_of("brier_score", "difference").exact(-0.005) == f"{MINUS}0.005"


def test_an_interval_may_be_open_or_missing() -> None:
    measure = Measure(100.0, "\xa0%")
    assert measure.interval(0.01, 0.02, 1) == "1.0 to 2.0\xa0%"
    assert measure.interval(None, 0.02, 1) == f"{MINUS}∞ to 2.0\xa0%"
    assert measure.interval(0.01, None, 1) == "1.0 to ∞\xa0%"
    assert measure.interval(None, None, 1) == NOTHING


def test_small_words() -> None:
    assert (count(12345), count(None)) == ("12,345", NOTHING)
    assert (plural(1, "day"), plural(1200, "day")) == ("1\xa0day", "1,200\xa0days")
    two = dt.timezone(dt.timedelta(hours=2))
    assert moment(dt.datetime(2013, 5, 3, 1, 30, tzinfo=two)) == "2013-05-02 23:30 UTC"
    assert capitalised("log loss: Ä") == "Log loss: Ä"


def test_what_acts_unseen_is_shown_as_its_code() -> None:
    assert visible("a\u202eb\x00c\x1b[0m\ud800\ue000") == "a⟨U+202E⟩b⟨U+0000⟩c⟨U+001B⟩[0m⟨U+D800⟩⟨U+E000⟩"
    plain = "Ä ñ 漢字 \N{NO-BREAK SPACE}\N{EN DASH} \N{FAMILY} é\u0301\nnew\tline"
    assert visible(plain) == plain


@given(st.text(), st.integers(2, 40))
def test_a_shortened_text_fits_and_keeps_its_beginning(text: str, most: int) -> None:
    short = shorten(visible(text), most)
    assert len(short) <= most
    if short.endswith("…") and "…" not in text:
        assert visible(text).lstrip()[:1] == short[:1]
    short.encode()
