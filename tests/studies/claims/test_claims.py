"""The ledger is typed, every claim is answered, and the answer follows from the interval."""

import json

import pytest

from tests.measure import studies
from workbench.cli import claims as command
from workbench.errors import InputError, RecordError
from workbench.measure.statistics import Interval
from workbench.optimizations import NAMES
from workbench.optimizations.switch import Site
from workbench.studies import claims
from workbench.studies.ablation.settings import AblationSettings
from workbench.studies.claims import Standing, answer, facts, gather, sets
from workbench.studies.claims.evidence import Fact, Missing, Pair
from workbench.studies.claims.figures import FIGURES
from workbench.studies.claims.ledger import Claim, read_claims
from workbench.studies.claims.ways import NEEDS, WAYS
from workbench.studies.claims.words import claimed_words, figure_words

LEDGER = read_claims()
CONFIRMED, PARTLY, REFUTED, UNKNOWN = Standing


def claim(metric="speedup", expected=(2.0, 2.0), **fields):
    settings = {
        "id": "a.b", "system": "A", "optimization": "tf32", "stage": "tts", "metric": metric,
        "expected": expected, "says": "twice as fast",
    }  # fmt: skip
    return Claim(**{**settings, **fields})


def took(share, **changes):
    """Evidence of an arm that takes ``share`` of the baseline's time."""
    kept = changes.pop("kept", None)
    return Pair(studies.made({"fast": share}, **changes), "fast", "baseline", kept)


# -- The ledger --------------------------------------------------------------------------------


def test_the_ledger_has_all_claims_and_each_has_a_way():
    assert len(LEDGER) == 59
    assert {one.id for one in LEDGER} == set(WAYS)
    assert {one.metric for one in LEDGER} <= set(FIGURES)
    for way in WAYS.values():
        assert way.needs in NEEDS
        known = {*NAMES, *sets._PRESETS}
        assert set(way.switches) <= known
        assert way.switches or way.probe or way.record or way.gap
        assert way.record or not way.command


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[", "not YAML"),
        ("{}", "no list"),
        ("- 3", "entry 1"),
        ("- {id: a.b}", "system"),
        ("- {id: a.b, system: A, optimization: x, stage: s, metric: speed, expected: [1, 2], "
         "says: y}", "metric"),
        ("- {id: a.b, system: A, optimization: x, stage: s, metric: ms, expected: [2, 1], "
         "says: y}", "low <= high"),
        ("- {id: a.b, system: A, optimization: x, stage: s, metric: ms, expected: [1, 2], "
         "says: y, more: 1}", "more"),
        ("- {id: a.b, system: A, optimization: x, stage: s, metric: ms, expected: [1, 2], "
         "says: y}\n" * 2, "twice"),
    ],
)  # fmt: skip
def test_a_corrupt_ledger_is_named(text, named, tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=named) as raised:
        read_claims(path)
    assert str(path) in raised.value.what
    assert raised.value.remedy


def test_a_missing_ledger_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml"):
        read_claims(tmp_path / "none.yaml")


# -- Answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "expected", "share", "standing"),
    [
        ("speedup", (2.0, 2.0), 0.40, CONFIRMED),
        ("speedup", (2.0, 4.0), 0.10, CONFIRMED),  # more than claimed
        ("speedup", (2.0, 2.0), 0.5128, PARTLY),  # the interval holds the low end
        ("speedup", (2.0, 2.0), 0.80, REFUTED),
        ("speedup", (2.0, 2.0), 1.30, REFUTED),
        ("saving", (0.2, 0.3), 0.70, CONFIRMED),
        ("saving", (0.2, 0.3), 0.90, REFUTED),
        ("saving", (0.2, 0.3), 1.00, REFUTED),
        ("saving", (0.0, 1.0), 0.90, CONFIRMED),
        ("saving", (0.0, 1.0), 1.00, REFUTED),
        ("saving", (0.0, 1.0), 1.10, REFUTED),
        ("saving", (0.0, 0.0), 1.00, CONFIRMED),  # it costs nothing
        ("saving", (0.0, 0.0), 1.10, REFUTED),
        ("ms_saved", (30.0, 30.0), 0.50, CONFIRMED),
        ("ms_saved", (30.0, 30.0), 0.90, REFUTED),
    ],
)
def test_the_interval_decides(metric, expected, share, standing):
    found = answer(claim(metric, expected), took(share, rounds=300))
    assert found.standing is standing, found.reason
    assert found.figure.low <= found.figure.value <= found.figure.high
    assert found.on["machine"] == "Zeta 1, 2 cores"
    assert found.reason


def test_savings_and_ratios_are_the_same_measurement():
    evidence = took(0.5)
    ratio = answer(claim("speedup"), evidence).figure
    saving = answer(claim("saving", (0.5, 0.5)), evidence).figure
    assert saving.value == pytest.approx(1 - 1 / ratio.value)
    assert saving.low == pytest.approx(1 - 1 / ratio.low)


def test_a_claimed_figure_is_a_rounded_one():
    counted = Fact(1.0, 1.96, "", "engine", "machine")
    assert answer(claim("memory_ratio", (2.0, 2.0)), counted).standing is CONFIRMED
    counted = Fact(1.0, 1.94, "", "engine", "machine")
    assert answer(claim("memory_ratio", (2.0, 2.0)), counted).standing is REFUTED


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rounds": 4}, "needs 10"),
        ({"others_s": 50.0}, "disturbed"),
        ({"failed": ("fast",)}, "SIGKILL"),
        ({"failed": ("baseline",)}, "SIGKILL"),
    ],
)
@pytest.mark.parametrize("metric", ["speedup", "saving", "variance_saving", "memory_ratio"])
def test_what_decides_nothing_says_why(changes, named, metric):
    if metric == "memory_ratio" and named != "SIGKILL":
        pytest.skip("weights are counted, whatever the trials did")
    found = answer(claim(metric, (0.2, 0.9)), took(0.5, **changes))
    assert found.standing is UNKNOWN
    assert named in found.reason


def test_an_undecided_interval_is_no_refutation():
    found = answer(claim("saving", (0.0, 1.0)), took(0.99, rounds=40))
    assert found.standing is UNKNOWN
    assert "undecided" in found.reason


def test_a_claim_for_every_stage_is_shown_for_one():
    found = answer(claim("saving", (0.2, 0.3), stage="all"), took(0.5))
    assert found.standing is PARTLY
    assert "every stage" in found.reason
    refuted = answer(claim("saving", (0.2, 0.3), stage="all"), took(1.0))
    assert refuted.standing is REFUTED  # one stage is enough to refute


@pytest.mark.parametrize(("kept", "standing"), [(True, CONFIRMED), (False, PARTLY), (None, PARTLY)])
def test_a_claim_about_the_sound_needs_the_sound(kept, standing):
    assert answer(claim(), took(0.4, kept=kept), sound=True).standing is standing


def test_absolute_figures_are_told_and_judged_on_the_named_hardware_only():
    asked = claim("ms", (50, 60), hardware="Zeta 1")
    assert answer(asked, took(0.5)).standing is CONFIRMED
    assert answer(asked, took(0.9)).standing is REFUTED
    for hardware in ("RTX 5090", None):
        elsewhere = answer(claim("ms", (50, 60), hardware=hardware), took(0.5))
        assert elsewhere.standing is UNKNOWN
        assert elsewhere.figure.value == pytest.approx(50, rel=0.02)


def test_a_ratio_from_other_hardware_names_both():
    found = answer(claim(hardware="RTX 5090"), took(0.4))
    assert found.standing is CONFIRMED
    assert "RTX 5090" in found.reason
    assert "Zeta 1" in found.reason


def test_lower_variance_is_found_and_the_same_variance_is_not():
    asked = claim("variance_saving", (0.10, 0.15))
    steady = took(0.2, rounds=200)  # a fifth of the time, so a fifth of its spread
    assert answer(asked, steady).standing is CONFIRMED
    assert answer(asked, took(1.0, rounds=200)).standing is not CONFIRMED


def test_a_saving_in_ms_holds_for_the_hardware_that_it_names():
    asked = claim("ms_saved", (30.0, 30.0), hardware="RTX 5090")
    elsewhere = answer(asked, took(0.9))
    assert elsewhere.standing is UNKNOWN
    assert "holds for RTX 5090 only" in elsewhere.reason
    assert elsewhere.figure.value == pytest.approx(10, rel=0.2)
    there = claim("ms_saved", (30.0, 30.0), hardware="Zeta 1")
    assert answer(there, took(0.5)).standing is CONFIRMED


def test_a_part_of_what_is_claimed_confirms_and_never_refutes():
    assert answer(claim(), took(0.4), part="a part").standing is CONFIRMED
    refuted = answer(claim(), took(0.8), part="a part")
    assert refuted.standing is UNKNOWN
    assert refuted.reason.endswith("a part")


def test_counts_have_no_interval():
    fails = claim("fails", (1, 1))
    assert answer(fails, Fact(1.0, None, "", "", "m")).standing is CONFIRMED
    assert answer(fails, Fact(0.0, None, "", "", "m")).standing is REFUTED
    pool = claim("allocations", (0, 0))
    assert answer(pool, Fact(0.0, 90.0, "", "", "m")).standing is CONFIRMED
    assert answer(pool, Fact(80.0, 90.0, "", "", "m")).standing is REFUTED


def test_memory_on_the_cpu_is_that_of_the_weights():
    study = studies.made({"fast": 1.0})
    for name, size in (("fast", 25), ("baseline", 100)):
        study.results[name].about["weights_bytes"] = size
    found = answer(claim("memory_ratio", (4.0, 4.0)), Pair(study, "fast", "baseline"))
    assert found.standing is CONFIRMED
    assert found.figure.value == 4


def test_what_is_missing_is_told_with_what_it_does_elsewhere():
    bare = answer(claim(), Missing("it takes a chat model"))
    assert (bare.standing, bare.figure, bare.on) == (UNKNOWN, None, {})
    instead = answer(claim(), Missing("it takes the F5-TTS engine", took(0.5)))
    assert instead.standing is UNKNOWN
    assert instead.figure.value == pytest.approx(2, rel=0.05)
    assert "F5-TTS" in instead.reason


@pytest.mark.parametrize("one", LEDGER, ids=lambda one: one.id)
def test_every_claim_reads_as_a_sentence(one):
    assert claimed_words(one)
    figure = answer(one, Fact(0.5, 1.0, "", "engine", "machine")).figure
    assert figure is None or figure_words(one.metric, figure)
    found = answer(one, took(0.5))
    assert found.reason
    json.dumps(found.to_dict(), allow_nan=False)


# -- Gathering ---------------------------------------------------------------------------------


def test_all_claims_are_answered_without_any_measurement(tmp_path):
    answers = claims.answer_claims(AblationSettings(), tmp_path, measure=False)
    assert len(answers.all) == 59
    assert answers.complete
    assert answers.counts[str(UNKNOWN)] == 59
    missing = {one.claim.id: one.reason for one in answers.all}
    assert "workbench bench chat" in missing["fern.llm.local"]
    assert "not measured" in missing["rtx50.inference_mode"]


def test_a_switch_on_the_engine_at_hand_is_told_beside_the_missing_engine():
    gathered = gather.Gathered({"torch_compile": took(0.5)})
    (f5,) = [one for one in LEDGER if one.id == "f5.compile"]
    found = answer(f5, gathered.of(f5))
    assert found.standing is UNKNOWN
    assert "F5-TTS" in found.reason
    assert found.figure.value == pytest.approx(0.5, abs=0.05)


def test_the_engine_that_a_claim_speaks_of_counts_more_than_what_came_first():
    ours, theirs = took(0.9), took(0.5)
    for one in theirs.study.results.values():
        one.about["engine"] = "f5"
    gathered = gather.Gathered()
    gathered.add({"torch_compile": ours})
    gathered.add({"torch_compile": theirs})
    by_id = {one.id: one for one in LEDGER}
    assert gathered.of(by_id["f5.compile"]) is theirs
    assert answer(by_id["f5.compile"], theirs).standing is CONFIRMED
    assert gathered.of(by_id["rtx50.compile"]) is ours


def test_what_was_measured_first_counts_but_a_reason_gives_way():
    first, second = took(0.5), took(0.9)
    gathered = gather.Gathered({"tf32": Missing("no GPU")})
    gathered.add({"tf32": first})
    gathered.add({"tf32": second})
    assert gathered.by_switch["tf32"] is first


def test_a_batch_of_two_texts_says_nothing_of_three():
    (three,) = [one for one in LEDGER if one.id == "fern.batch.tts"]
    evidence = took(0.4)
    gathered = gather.Gathered({"batching": evidence})
    for count, standing in ((2, UNKNOWN), (3, CONFIRMED)):
        evidence.result.arm.kwargs["texts"] = ["one"] * count
        assert answer(three, gathered.of(three)).standing is standing
    assert len(claims.claims_settings({}, "here").texts) == 3


def test_words_are_those_that_people_use():
    loss = Interval(-0.05, -0.06, -0.04, 40)
    assert figure_words("saving", loss) == "5 % more time (4 to 6, n = 40)"
    assert (
        figure_words("speedup", Interval(1.5, 1.4, 1.6, 40)) == "1.5× as fast (1.4 to 1.6, n = 40)"
    )
    assert figure_words("fails", Interval(1, 1, 1, 1)) == "it fails"
    assert claimed_words(claim("saving", (0, 1))) == "faster"
    assert claimed_words(claim("ms", (0, 1))) == "0–1 ms"
    assert claimed_words(claim("saving", (0.2, 0.3))) == "20–30 % less time"


def test_sets_hold_what_they_require_and_say_what_cannot_be():
    cpu, gpu = Site(), Site(device="cuda", capability=(9, 0))
    reason = sets.switches_of(("tf32", "cudnn_benchmark", "bf16_default"), cpu)
    assert isinstance(reason, Missing)
    assert "CUDA" in reason.reason
    assert sets.switches_of(("tf32", "cudnn_benchmark"), gpu) == ("cudnn_benchmark", "tf32")
    guests = sets.switches_of(("all",), cpu, "f5")
    assert "inference_mode" in guests
    assert "frame_step" not in guests
    assert sets.useless(["int8", "tf32"], "f5:a/b") == ["int8"]
    assert sets.useless(["int8", "tf32"], "csm-nano") == []
    everything = sets.switches_of(("all",), cpu)
    assert "frame_step" in everything
    assert "torch_compile" not in sets.switches_of(("all_but_compile",), gpu)


def test_half_precision_transforms_on_the_cpu_are_no_answer():
    found = facts.stft_half(Site())
    assert isinstance(found, Missing)
    assert "cuFFT" in found.reason


@pytest.mark.slow
def test_allocations_are_counted_one_by_one(tiny_folder):
    settings = AblationSettings(engine=str(tiny_folder), device="cpu")
    found = facts.allocations(settings, Site())
    assert isinstance(found, Fact)
    # Without a pool, each of some dozen products a frame takes memory of its own.
    assert found.before > 10
    assert found.value <= found.before


# -- Files and the command ---------------------------------------------------------------------


def test_answers_are_read_back_as_written(tmp_path):
    given = (answer(LEDGER[0], took(0.4)), answer(LEDGER[1], Missing("no GPU")))
    claims.write_answers(claims.Answers(given, tmp_path))
    kept = claims.read_answers(tmp_path)
    assert [one.to_dict() for one in kept.all] == [one.to_dict() for one in given]
    table = (tmp_path / "claims.md").read_text()
    assert LEDGER[0].id in table
    assert "no GPU" in table
    (tmp_path / "claims.json").write_text("{")
    with pytest.raises(RecordError, match="torn"):
        claims.read_answers(tmp_path)


def test_unknown_claims_and_empty_sources_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"fern\.compile\.ttx"):
        claims.answer_claims(AblationSettings(), tmp_path, ids=["fern.compile.ttx"])
    with pytest.raises(InputError, match="no measurements"):
        claims.answer_claims(AblationSettings(), tmp_path, sources=[tmp_path], measure=False)


def parsed(*arguments):
    import argparse

    commands = argparse.ArgumentParser().add_subparsers()
    parser = command.add_parser(commands)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(list(arguments))


@pytest.mark.slow
def test_the_command_measures_resumes_and_takes_measurements_over(tiny_folder, tmp_path, capsys):
    ids = "rtx50.inference_mode,rtx50.total,fern.llm.local,rtx50.stft_half"
    common = ["--engine", str(tiny_folder), "--ids", ids, "--trials", "4", "--starts", "2"]
    common += ["--max-frames", "3", "--sentences", "0"]
    out = tmp_path / "first"
    summary, code = command.execute(parsed(*common, "--out", str(out)))
    assert code == 0
    assert "NOT MEASURABLE HERE (4)" in capsys.readouterr().out
    by_id = {one["id"]: one for one in summary["claims"]}
    assert list(by_id) == [
        "fern.llm.local",
        "rtx50.total",
        "rtx50.stft_half",
        "rtx50.inference_mode",
    ]
    for measured in ("rtx50.inference_mode", "rtx50.total"):
        assert by_id[measured]["measured"] is not None, by_id[measured]["reason"]
        assert by_id[measured]["interval"][0] <= by_id[measured]["interval"][1]
        assert by_id[measured]["measured_on"]["machine"]
    again, _ = command.execute(
        parsed(*common, "--out", str(tmp_path / "second"), "--from", str(out), "--no-run")
    )
    stft = {"rtx50.stft_half"}  # counted anew in each run
    assert [one for one in again["claims"] if one["id"] not in stft] == [
        one for one in summary["claims"] if one["id"] not in stft
    ]
