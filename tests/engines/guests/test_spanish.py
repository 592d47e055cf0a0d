"""Spanish text in words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("num2words", reason="num2words is not installed")
from num2words import num2words

from workbench.engines.guests.spanish import (
    ABBREVIATIONS,
    MONEY,
    SIGNS,
    UNITS,
    before_noun,
    cardinal,
    normalized,
)

# What people write: letters, digits, and the signs that the rules look for.
written = st.text(
    alphabet=st.sampled_from("aeiouñáSrCkmghslEUIVXD 0123456789.,:;/-–€$£%°º²³ª&+=()¿?¡!\n_"),
    max_size=40,
)
numbers = st.integers(0, 10**15 - 1)


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Tengo 21 años.", "Tengo veintiuno años."),
        ("1.234.567 personas", "un millón doscientos treinta y cuatro mil quinientos sesenta y "
         "siete personas"),
        ("pi es 3,1416", "pi es tres coma uno cuatro uno seis"),
        ("pi es 3,05", "pi es tres coma cero cinco"),
        ("la versión 2.5", "la versión dos punto cinco"),
        ("cuesta 1 €", "cuesta un euro"),
        ("cuesta 21 €", "cuesta veintiún euros"),
        ("cuesta $21,50.", "cuesta veintiún dólares con cincuenta."),
        ("12,00 €", "doce euros"),
        ("200 £", "doscientas libras"),
        ("2.000.000 €", "dos millones de euros"),
        ("un 35 %", "un treinta y cinco por ciento"),
        ("21 %", "veintiuno por ciento"),
        ("a las 14:30", "a las catorce y treinta"),
        ("a la 1:05 h", "a la una y cinco"),
        ("a las 8:00", "a las ocho en punto"),
        ("el 3/5/2024", "el tres de mayo de dos mil veinticuatro"),
        ("el 1-12-1999", "el uno de diciembre de mil novecientos noventa y nueve"),
        ("31/13/2024", "treinta y uno barra trece barra dos mil veinticuatro"),
        ("el 1.er piso, 3.ª planta, 2º", "el primer piso, tercera planta, segundo"),
        ("a 120 km/h", "a ciento veinte kilómetros por hora"),
        ("1 h y 21 min", "una hora y veintiún minutos"),
        ("5 m² y 3 m³", "cinco metros cuadrados y tres metros cúbicos"),
        ("-5 °C", "menos cinco grados Celsius"),
        ("1990-1995", "mil novecientos noventa a mil novecientos noventa y cinco"),
        ("el siglo XX", "el siglo veinte"),
        ("siglo IV", "siglo cuatro"),
        ("El Sr. Gil y la Dra. Paz", "El señor Gil y la doctora Paz"),
        ("EE. UU., etc.", "Estados Unidos, etcétera"),
        ("pan & vino", "pan y vino"),
        ("el 007", "el cero cero siete"),
        ("٣ gatos", "tres gatos"),
        ("¿Qué tal? ¡Bien!", "¿Qué tal? ¡Bien!"),
    ],
)  # fmt: skip
def test_examples(text, spoken):
    assert normalized(text) == spoken


@given(written)
def test_no_digits_and_signs_are_left_and_twice_is_once(text):
    spoken = normalized(text)
    assert not any(character.isdigit() for character in spoken)
    assert not set(spoken) & set(SIGNS)
    assert normalized(spoken) == spoken


@given(st.lists(st.text(alphabet="abcdefghijklmnopqrstuvwxyzáéíóúñü", min_size=1), min_size=1))
def test_words_stay_as_they_are(words):
    text = " ".join(words)
    assert normalized(text) == text


@given(numbers)
def test_a_number_is_the_same_however_its_thousands_are_written(number):
    said = num2words(number, lang="es")
    assert normalized(str(number)) == said
    assert normalized(f"{number:,}".replace(",", ".")) == said
    assert normalized(f"{number:,}".replace(",", "\u202f")) == said


@given(st.integers(0, 10**9), st.booleans())
def test_a_number_agrees_with_what_it_counts(number, feminine):
    plain, said = cardinal(number), before_noun(number, feminine)
    assert not re.search(r"uno$", said)
    if number % 10 != 1 and not feminine:
        assert said == plain
    if not feminine:
        assert said.removesuffix("ún").removesuffix("un") == plain.removesuffix("uno")


@pytest.mark.parametrize("table", [MONEY, UNITS])
def test_every_unit_has_one_and_many(table):
    for sign, (one, many, feminine) in table.items():
        text = f"1 {sign} y 5 {sign}"
        said = "uno" if one == many else "una" if feminine else "un"
        assert normalized(text) == f"{said} {one} y cinco {many}"


def test_every_abbreviation_is_spoken():
    for short, full in ABBREVIATIONS.items():
        assert normalized(f"el {short} Gil") == f"el {full} Gil"
        assert normalized(f"el{short[0]}x") == f"el{short[0]}x"
