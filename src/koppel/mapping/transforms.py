"""How the steps of a transformation are done, and what undoes them.

Values are wire values; blanks never reach a step. A step that cannot do its work raises ``ValueError`` with the end of
a sentence that the value begins (`is no number`): the engine makes it a failure of the record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Decimal, InvalidOperation

from koppel.errors import MappingError
from koppel.mapping.cultures import culture_named, format_decimal, parse_decimal, title_case
from koppel.mapping.dates import Pattern, read_pattern
from koppel.mapping.functions import load_function
from koppel.mapping.model import FieldMapping
from koppel.mapping.patterns import read_regex
from koppel.mapping.steps import (
    Call,
    Extract,
    FormatDate,
    FormatDateTime,
    FormatDecimal,
    Kind,
    LookUp,
    MapValues,
    MatchPattern,
    ParseDate,
    ParseDateTime,
    ParseDecimal,
    Replace,
    ReplacePattern,
    Round,
    Step,
    Substring,
    TitleCase,
)
from koppel.odata.records import Scalar, Side

Apply = Callable[[Scalar], Scalar]


def inverse(step: Step) -> Step | None:
    """The step that undoes this one, if there is one that always does."""
    match step:
        case "unix_time":
            return "to_unix_time"
        case "to_unix_time":
            return "unix_time"
        case ParseDecimal(culture=culture, otherwise="fail"):
            return FormatDecimal(culture=culture)
        case FormatDecimal(culture=culture):
            return ParseDecimal(culture=culture)
        case ParseDate(otherwise="fail") if _pattern_of(step).tells_date():
            return FormatDate(format=step.format, culture=step.culture)
        case FormatDate() if _pattern_of(step).tells_date():
            return ParseDate(format=step.format, culture=step.culture)
        case ParseDateTime(otherwise="fail") if _pattern_of(step).tells_moment():
            return FormatDateTime(format=step.format, culture=step.culture)
        case FormatDateTime() if _pattern_of(step).tells_moment():
            return ParseDateTime(format=step.format, culture=step.culture)
    return None


def chain(field: FieldMapping, source: Side) -> tuple[Step, ...]:
    """The steps for values of ``source``: those written down, else what undoes those of the other direction.

    The last step is undone first; a step that nothing undoes is left out, which the field has to allow (``lossy``).
    """
    there: Side = "dataverse" if source == "business_central" else "business_central"
    if field.steps(source) or field.direction != "both":
        return field.steps(source)
    return tuple(back for step in reversed(field.steps(there)) if (back := inverse(step)) is not None)


def functions_of(field: FieldMapping) -> list[str]:
    """The Python functions that its steps name."""
    return [step.function for step in (*field.to_dataverse, *field.from_dataverse) if isinstance(step, Call)]


def compiled(step: Step, folder: str = "") -> Apply:
    """What does the step; ``folder``: where Python functions are. ``MappingError`` for settings that make no sense.

    A ``LookUp`` is done where the rows are: here its settings are all that there is to look at.
    """
    match step:
        case str():
            return _WORDS[step]
        case TitleCase(culture=culture):
            culture_named(culture)
            language = culture.partition("-")[0]
            return lambda value: title_case(_text(value), language)
        case Substring():
            return _substring(step)
        case Replace(find=find, by=by):
            if not find:
                raise MappingError("`find` is blank", remedy="Say which text is to be replaced.")
            return lambda value: _text(value).replace(find, by)
        case ReplacePattern(pattern=pattern, by=by):
            return _replace_pattern(pattern, by)
        case MatchPattern(pattern=pattern):
            return _match_pattern(pattern)
        case MapValues(values=values, rest=rest):
            return _map(values, rest)
        case Call(function=function):
            return load_function(function, folder)
        case LookUp():
            return _text
    return _otherwise(step, _typed(step))


def _typed(step: Step) -> Apply:
    """Steps between text, numbers and dates."""
    match step:
        case ParseDecimal(culture=name):
            culture = culture_named(name)
            return lambda value: parse_decimal(_text(value), culture)
        case FormatDecimal(culture=name):
            culture = culture_named(name)
            return lambda value: format_decimal(_number(value), culture)
        case ParseDate():
            pattern = _pattern_of(step)
            return lambda value: pattern.parse(_text(value)).date().isoformat()
        case FormatDate():
            pattern = _pattern_of(step)
            return lambda value: pattern.format(_moment(value))
        case ParseDateTime():
            pattern = _pattern_of(step)
            return lambda value: _wire(pattern.parse(_text(value)))
        case FormatDateTime():
            pattern = _pattern_of(step)
            return lambda value: pattern.format(_moment(value))
        case Round(precision=precision, direction=direction):
            return _round(precision, direction)
        case Extract(part=part):
            return lambda value: int(getattr(_moment(value), part))
    raise AssertionError(step)


def _otherwise(step: Step, apply: Apply) -> Apply:
    """The step with what its ``otherwise`` says where it cannot do its work."""
    instead = getattr(step, "otherwise", "fail")
    if instead == "fail":
        return apply

    def attempt(value: Scalar) -> Scalar:
        try:
            return apply(value)
        except ValueError:
            return value if instead == "keep" else None

    return attempt


def _substring(step: Substring) -> Apply:
    if step.start is not None and step.after:
        raise MappingError("`start` and `after` exclude each other", remedy="Keep one of them.")
    if step.length is not None and step.before:
        raise MappingError("`length` and `before` exclude each other", remedy="Keep one of them.")
    if (step.start or 1) < 1 or step.start == 0 or (step.length is not None and step.length < 1):
        raise MappingError("positions and lengths are 1 or more", remedy="The first character is at 1.")
    if step == Substring():
        raise MappingError("the substring is the whole text", remedy="Say `start`, `after`, `length` or `before`.")

    def cut(value: Scalar) -> Scalar:
        text = _text(value)
        if step.after:
            _, found, text = text.partition(step.after)
            if not found:
                return None
        text = text[(step.start or 1) - 1 :][: step.length]
        return text if not step.before else text.partition(step.before)[0] if step.before in text else None

    return cut


def _replace_pattern(pattern: str, by: str) -> Apply:
    found = read_regex(pattern)
    try:
        found.pattern.sub(by, "")
    except Exception as error:
        raise MappingError(f"`by` does not go with the pattern: {error}", remedy="Groups are \\1, \\2 ...") from None
    return lambda value: found.pattern.sub(by, found.fits(_text(value)))


def _match_pattern(pattern: str) -> Apply:
    found = read_regex(pattern)

    def held(value: Scalar) -> Scalar:
        matches = found.pattern.finditer(found.fits(_text(value)))
        return "".join(part or "" for match in matches for part in (match.groups() or (match[0],)))

    return held


def _map(values: Mapping[str, Scalar], rest: Scalar) -> Apply:
    if not values:
        raise MappingError("`values` is empty", remedy="Say what becomes of which value.")

    def found(value: Scalar) -> Scalar:
        name = _spelled(value)
        if name not in values and rest is None:
            raise ValueError(f"is none of {', '.join(values)}")
        return values.get(name, rest)

    return found


def _spelled(value: Scalar) -> str:
    """A value as a mapping file writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _round(precision: float, direction: str) -> Apply:
    step = Decimal(repr(precision))
    if not step.is_finite() or step <= 0:
        raise MappingError("`precision` must be more than nothing", remedy="0.01 rounds to cents, 1 to whole numbers.")
    rounding = {"up": ROUND_UP, "down": ROUND_DOWN, "nearest": ROUND_HALF_UP}[direction]

    def rounded(value: Scalar) -> Scalar:
        try:
            exact = (Decimal(repr(_number(value))) / step).quantize(Decimal(1), rounding) * step
        except InvalidOperation:
            raise ValueError("has too many digits to be rounded") from None
        return int(exact) if isinstance(value, int) and exact == exact.to_integral_value() else float(exact)

    return rounded


def _pattern_of(step: ParseDate | FormatDate | ParseDateTime | FormatDateTime) -> Pattern:
    """The pattern that a step says, or that its culture has."""
    if bool(step.format) == bool(step.culture):
        raise MappingError(
            "a date is written by a `format` or as in a `culture`", remedy="Say one of them: dd-MM-yyyy, or nl-NL."
        )
    if step.format:
        return read_pattern(step.format)
    culture = culture_named(step.culture)
    timed = isinstance(step, ParseDateTime | FormatDateTime)
    return read_pattern(f"{culture.date} {culture.time}" if timed else culture.date, lenient=True)


def _text(value: Scalar) -> str:
    if not isinstance(value, str):
        raise ValueError("is no text")
    return value


def _number(value: Scalar) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("is no number")
    return value


def _moment(value: Scalar) -> datetime:
    try:
        when = datetime.fromisoformat(_text(value))
    except ValueError:
        raise ValueError("is no date") from None
    return when if when.tzinfo is None else when.astimezone(UTC)


def _wire(when: datetime) -> str:
    return when.replace(tzinfo=None).isoformat() + "Z"


def _unix_time(value: Scalar) -> Scalar:
    try:
        return _wire(datetime(1970, 1, 1) + timedelta(seconds=_number(value)))
    except OverflowError:
        raise ValueError("is no time in seconds since 1970") from None


def _to_unix_time(value: Scalar) -> Scalar:
    seconds = (_moment(value).replace(tzinfo=None) - datetime(1970, 1, 1)) / timedelta(seconds=1)
    return int(seconds) if seconds == int(seconds) else seconds


_WORDS: Mapping[str, Apply] = {
    "upper": lambda value: _text(value).upper(),
    "lower": lambda value: _text(value).lower(),
    "trim": lambda value: _text(value).strip(),
    "alphanumeric": lambda value: "".join(filter(str.isalnum, _text(value))),
    "unix_time": _unix_time,
    "to_unix_time": _to_unix_time,
}


def fits(value: Scalar, kind: Kind) -> Scalar:
    """The value that came out of a chain, which a column of ``kind`` takes; ``ValueError`` when it does not."""
    match kind:
        case "text":
            return _text(value)
        case "number":
            return _number(value)
        case "boolean":
            if not isinstance(value, bool):
                raise ValueError("is neither true nor false")
        case "date":
            try:
                return date.fromisoformat(_text(value)).isoformat()
            except ValueError:
                raise ValueError("is no date") from None
        case "datetime":
            _moment(value)
    return value
