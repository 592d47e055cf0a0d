"""Spanish text as it is spoken: numbers, dates, times, money, units and abbreviations in words.

For voices that learned on written-out text, such as F5-TTS's Spanish model. The words of numbers
come from num2words; what stands around them (thousands with a point, decimals with a comma,
"un euro" but "veintiuno") follows the Ortografía de la lengua española (RAE, 2010).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Any

from workbench.errors import ModelError

_MAX_DIGITS = 15  # longer rows of digits are codes: read one by one
_NUMBER = r"\d{1,3}(?:[. \u00a0\u202f]\d{3})+(?:,\d+)?(?!\d)|\d+(?:[.,]\d+)?"

ABBREVIATIONS = {
    "Sr.": "señor", "Sra.": "señora", "Srta.": "señorita", "Sres.": "señores",
    "Dr.": "doctor", "Dra.": "doctora", "D.ª": "doña", "Dña.": "doña",
    "Ud.": "usted", "Uds.": "ustedes", "Vd.": "usted", "Vds.": "ustedes",
    "Prof.": "profesor", "Profa.": "profesora", "Lic.": "licenciado", "Ing.": "ingeniero",
    "Avda.": "avenida", "Av.": "avenida", "C/": "calle", "Pza.": "plaza", "Ctra.": "carretera",
    "EE. UU.": "Estados Unidos", "EE.UU.": "Estados Unidos", "EEUU": "Estados Unidos",
    "núm.": "número", "n.º": "número", "nº": "número", "pág.": "página", "págs.": "páginas",
    "tel.": "teléfono", "etc.": "etcétera", "p. ej.": "por ejemplo", "aprox.": "aproximadamente",
    "a. C.": "antes de Cristo", "d. C.": "después de Cristo", "Cía.": "compañía",
}  # fmt: skip
# One, many, and whether the number before it is feminine.
MONEY = {
    "€": ("euro", "euros", False), "EUR": ("euro", "euros", False),
    "$": ("dólar", "dólares", False), "USD": ("dólar", "dólares", False),
    "£": ("libra", "libras", True), "¥": ("yen", "yenes", False),
}  # fmt: skip
UNITS = {
    "km/h": ("kilómetro por hora", "kilómetros por hora", False),
    "m/s": ("metro por segundo", "metros por segundo", False),
    "km²": ("kilómetro cuadrado", "kilómetros cuadrados", False),
    "m²": ("metro cuadrado", "metros cuadrados", False),
    "m³": ("metro cúbico", "metros cúbicos", False),
    "km": ("kilómetro", "kilómetros", False), "cm": ("centímetro", "centímetros", False),
    "mm": ("milímetro", "milímetros", False), "m": ("metro", "metros", False),
    "kg": ("kilogramo", "kilogramos", False), "mg": ("miligramo", "miligramos", False),
    "g": ("gramo", "gramos", False), "ml": ("mililitro", "mililitros", False),
    "l": ("litro", "litros", False), "L": ("litro", "litros", False),
    "°C": ("grado Celsius", "grados Celsius", False),
    "ºC": ("grado Celsius", "grados Celsius", False),
    "°": ("grado", "grados", False), "GB": ("gigabyte", "gigabytes", False),
    "MB": ("megabyte", "megabytes", False), "kW": ("kilovatio", "kilovatios", False),
    "Hz": ("hercio", "hercios", False), "kHz": ("kilohercio", "kilohercios", False),
    "min": ("minuto", "minutos", False), "ms": ("milisegundo", "milisegundos", False),
    "h": ("hora", "horas", True), "s": ("segundo", "segundos", False),
    "%": ("por ciento", "por ciento", False), "‰": ("por mil", "por mil", False),
}  # fmt: skip
MONTHS = (
    "enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre",
    "octubre", "noviembre", "diciembre",
)  # fmt: skip
SIGNS = {
    "&": " y ", "+": " más ", "=": " igual a ", "×": " por ", "÷": " entre ", "@": " arroba ",
    "€": " euros ", "$": " dólares ", "£": " libras ", "¥": " yenes ", "%": " por ciento ",
    "‰": " por mil ", "°": " grados ", "#": " número ", "/": " barra ", "\\": " barra ", "_": " ",
    "*": " ", "~": " ", "^": " ", "|": " ", "<": " menor que ", ">": " mayor que ",
}  # fmt: skip
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_BEFORE_ROMAN = r"(siglos?|capítulos?|tomos?|actos?|tema|volumen)"


def normalized(text: str) -> str:
    """``text`` in words: no digits and none of the ``SIGNS`` are left.

    Text that has neither nor abbreviations stays as it is, so that normalizing twice changes
    nothing. Raises ModelError where num2words isn't installed.
    """
    before = None
    while text != before:  # a sign that goes can make an abbreviation of what stood around it
        before, text = text, _once(text)
    return text


def _once(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    # Digits of other scripts, and raised ones other than the exponents of units, to our digits.
    text = "".join(_plain_digit(character) for character in text)
    for short, full in _ABBREVIATIONS:
        text = short.sub(full, text)
    for pattern, words in _RULES:
        text = pattern.sub(words, text)
    text = "".join(SIGNS.get(character, character) for character in text)
    text = text.replace("²", " al cuadrado").replace("³", " al cubo")
    text = re.sub(r"[ \t\u00a0\u202f]+", " ", text).strip()
    return re.sub(r" (?=[,.;:!?…])", "", text)


def cardinal(number: int) -> str:
    """A whole number in words: 21 is "veintiuno"."""
    words: str = _num2words()(abs(number), lang="es")
    return f"menos {words}" if number < 0 else words


def before_noun(number: int, feminine: bool) -> str:
    """A whole number before what it counts: 21 is "veintiún" or "veintiuna"."""
    words = cardinal(number)
    if words.endswith("veintiuno"):
        return words[: -len("veintiuno")] + ("veintiuna" if feminine else "veintiún")
    if re.search(r"\buno$", words):
        return words[:-1] + "a" if feminine else words[:-1]
    if feminine:  # hundreds agree as well: doscientas libras
        head, million, tail = words.rpartition("millones ")
        return head + million + re.sub(r"cientos\b", "cientas", tail)
    return words


def ordinal(number: int, feminine: bool, short: bool = False) -> str:
    """A place in a row: 3 is "tercero", "tercera", or ``short`` "tercer"."""
    words: str = _num2words()(number, lang="es", to="ordinal")
    if feminine:
        return " ".join(word[:-1] + "a" if word.endswith("o") else word for word in words.split())
    return words[:-1] if short and words.endswith(("primero", "tercero")) else words


def number_in_words(written: str) -> str:
    """A number as written in Spanish: 1.234,5 is "mil doscientos treinta y cuatro coma cinco"."""
    whole, comma, rest = _parts(written)
    if len(whole) > _MAX_DIGITS or (len(whole) > 1 and whole.startswith("0")):
        words = " ".join(cardinal(int(digit)) for digit in whole)
    else:
        words = cardinal(int(whole))
    return f"{words} {comma} {_decimals(rest)}" if rest else words


def _parts(written: str) -> tuple[str, str, str]:
    """Digits before the decimal sign, its name, and those after it."""
    if re.fullmatch(r"\d{1,3}(?:[. \u00a0\u202f]\d{3})+(?:,\d+)?", written):
        whole, _, rest = written.partition(",")
        return re.sub(r"\D", "", whole), "coma", rest
    for sign, name in ((",", "coma"), (".", "punto")):
        if sign in written:
            whole, _, rest = written.partition(sign)
            return whole, name, rest
    return written, "coma", ""


def _decimals(digits: str) -> str:
    """Digits after the decimal sign: leading zeros one by one, the rest as a number."""
    rest = digits.lstrip("0")
    zeros = ["cero"] * (len(digits) - len(rest))
    if len(rest) > 3:
        return " ".join([*zeros, *(cardinal(int(digit)) for digit in rest)])
    return " ".join([*zeros, cardinal(int(rest))] if rest else zeros)


def _counted(written: str, noun: tuple[str, str, bool]) -> str:
    """A number with what it counts."""
    whole, _, rest = _parts(written)
    one, many, feminine = noun
    if rest or len(whole) > _MAX_DIGITS or (len(whole) > 1 and whole.startswith("0")):
        return f" {number_in_words(written)} {many} "
    if one == many:  # per cent counts nothing: veintiuno por ciento
        return f" {cardinal(int(whole))} {many} "
    count = int(whole)
    of = "de " if count and count % 1_000_000 == 0 else ""
    return f" {before_noun(count, feminine)} {of}{one if count == 1 else many} "


def _money(match: re.Match[str]) -> str:
    sign = match["before"] or match["after"]
    written = match["first"] or match["last"]
    whole, _, rest = _parts(written)
    if len(rest) == 2 and int(rest):
        # Hundredths: doce euros con cincuenta.
        return f"{_counted(whole, MONEY[sign])}con {cardinal(int(rest))} "
    return _counted(whole if rest and not int(rest) else written, MONEY[sign])


def _time(match: re.Match[str]) -> str:
    hour, minute = int(match["hour"]), int(match["minute"])
    said = before_noun(hour, feminine=True) if hour in (1, 21) else cardinal(hour)
    if match["second"]:
        seconds = cardinal(int(match["second"]))
        return f" {said}, {cardinal(minute)} minutos y {seconds} segundos "
    return f" {said} en punto " if minute == 0 else f" {said} y {cardinal(minute)} "


def _date(match: re.Match[str]) -> str:
    day, month, year = int(match["day"]), int(match["month"]), int(match["year"])
    if not (1 <= day <= 31 and 1 <= month <= 12):
        return match[0]
    said = "uno" if day == 1 else cardinal(day)
    return f" {said} de {MONTHS[month - 1]} de {cardinal(year)} "


def _place(match: re.Match[str]) -> str:
    number = int(match["number"])
    if not 1 <= number <= 999:
        return f" {number_in_words(match['number'])} "
    return f" {ordinal(number, match['sign'] == 'ª', short=match['sign'] == 'er')} "


def _roman(match: re.Match[str]) -> str:
    values = [_ROMAN[letter] for letter in match["roman"]]
    total = sum(
        -value if value < following else value
        for value, following in zip(values, [*values[1:], 0], strict=True)
    )
    return f"{match['noun']} {cardinal(total)}"


def _plain_digit(character: str) -> str:
    if character in "²³" or not character.isdigit():
        return character
    return str(unicodedata.digit(character))


def _either(names: dict[str, Any]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


def _abbreviation(short: str, full: str) -> tuple[re.Pattern[str], str]:
    end = "" if short.endswith((".", "/")) else r"(?!\w)"
    return re.compile(rf"(?<!\w){re.escape(short)}{end}"), full


_ABBREVIATIONS = [
    _abbreviation(short, full)
    for short, full in sorted(ABBREVIATIONS.items(), key=lambda pair: -len(pair[0]))
]
_RULES: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = [
    (re.compile(rf"\b(?P<noun>{_BEFORE_ROMAN}) (?P<roman>[IVXLCDM]+)\b"), _roman),
    (re.compile(r"(?<![\d/])(?P<day>\d{1,2})[/-](?P<month>\d{1,2})[/-](?P<year>\d{4})(?![\d/])"),
     _date),
    (re.compile(r"(?<![\d:])(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?"
                r"(?![\d:])(?: ?h\b)?"), _time),
    (re.compile(rf"(?<![\w.,])[-−](?={_NUMBER})"), lambda _: "menos "),
    (re.compile(rf"(?P<before>{_either(MONEY)}) ?(?P<first>{_NUMBER})"
                rf"|(?P<last>{_NUMBER}) ?(?P<after>{_either(MONEY)})(?!\w)"), _money),
    (re.compile(r"(?<![\d.,])(?P<number>\d+)\.?(?P<sign>er|[ºª])(?!\w)"), _place),
    (re.compile(rf"(?P<number>{_NUMBER}) ?(?P<unit>{_either(UNITS)})(?!\w)"),
     lambda match: _counted(match["number"], UNITS[match["unit"]])),
    (re.compile(r"(?<=\d) ?[–-] ?(?=\d)"), lambda _: " a "),
    (re.compile(_NUMBER), lambda match: f" {number_in_words(match[0])} "),
]  # fmt: skip


@cache
def _num2words() -> Callable[..., str]:
    try:
        from num2words import num2words
    except ImportError as problem:
        raise ModelError("num2words is not installed", "pip install num2words") from problem
    made: Callable[..., str] = num2words
    return made
