from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from egopack.ego4d import layout
from egopack.ego4d.annotations import Annotations
from egopack.ego4d.skips import Skips
from egopack.ego4d.sources.fho_lta import Action, Taxonomy, read_actions, read_taxonomy
from egopack.ego4d.sources.fho_oscc_pnr import Window, read_windows
from egopack.ego4d.sources.moments import Moment, read_moment_labels, read_moments
from egopack.errors import UserError

PIPELINE = Path(__file__).parents[1] / "parity" / "pipeline"
CORPUS = PIPELINE / "corpus"
Rows = dict[str, Any]

ACTION: Rows = {
    "video_uid": "u", "clip_uid": "c", "clip_id": 1806,
    "clip_parent_start_frame": 8759, "clip_parent_end_frame": 18239,
    "action_clip_start_frame": 382, "action_clip_end_frame": 622,
    "action_idx": 0, "verb": "put_(place,_leave,_drop)", "noun": "dough", "verb_label": 65, "noun_label": 131,
}  # fmt: skip
WINDOW: Rows = {
    "clip_id": "1805", "clip_uid": "c", "unique_id": "b-2_48-10_48", "video_uid": "u",
    "parent_start_frame": 74, "parent_end_frame": 314, "clip_start_frame": 74, "clip_end_frame": 314,
    "state_change": True, "clip_pnr_frame": 150, "parent_pnr_frame": 184,
}  # fmt: skip
LABEL: Rows = {
    "label": "cut_dough", "start_time": 0.94, "end_time": 5, "primary": True,
    "video_start_frame": 13529, "video_end_frame": 13651,
}  # fmt: skip
CLIP: Rows = {
    "clip_uid": "m", "video_start_sec": 450.02, "video_end_sec": 930, "video_start_frame": 13501,
    "video_end_frame": 27901, "annotations": [{"annotator_uid": "18", "labels": [LABEL]}],
}  # fmt: skip


def changed(row: Rows, change: Rows) -> Rows:
    """`row` with `change`; a value of ... takes the key away."""
    return {key: value for key, value in {**row, **change}.items() if value is not ...}


def clips(path: Path, *rows: Rows, name: str) -> Path:
    (path / name).write_text(json.dumps({"clips": list(rows)}))
    return path / name


def moments(path: Path, clip: Rows, name: str = "moments_train.json") -> Path:
    (path / name).write_text(json.dumps({"videos": [{"video_uid": "u", "split": "train", "clips": [clip]}]}))
    return path / name


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (8759 + 382, 8759 + 622, 65, 131)),
        ({"clip_id": ...}, (9141, 9381, 65, 131)),  # v2
        ({"action_clip_start_frame": -21, "action_clip_end_frame": 219}, (8738, 8978, 65, 131)),
        ({"action_clip_end_frame": 99999}, (9141, 108758, 65, 131)),  # past the clip's end
        ({"action_clip_start_frame": 382.0}, (9141, 9381, 65, 131)),
        ({"verb_label": -1}, (9141, 9381, -1, 131)),
        ({"clip_uid": "ü-1", "extra": [1]}, (9141, 9381, 65, 131)),
    ],
)
def test_actions_load_with_their_quirks(tmp_path: Path, change: Rows, expected: tuple[int, ...]) -> None:
    skips = Skips()
    (action,) = read_actions(clips(tmp_path, changed(ACTION, change), name="fho_lta_train.json"), skips)
    assert (action.start, action.end, action.verb, action.noun) == expected
    assert (action.clip_start, action.clip_end, len(skips)) == (8759, 18239, 0)


def test_actions_of_the_test_split_have_no_labels(tmp_path: Path) -> None:
    row = changed(ACTION, {"verb": ..., "noun": ..., "verb_label": ..., "noun_label": ...})
    path = clips(tmp_path, row, name="fho_lta_test_unannotated.json")
    assert read_actions(path, Skips()) == [Action("u", "c", 8759, 18239, 9141, 9381, 0, None, None)]
    with pytest.raises(UserError, match=r"fho_lta_val.json: clips\[0\].verb_label is missing"):
        read_actions(clips(tmp_path, row, name="fho_lta_val.json"), Skips())


def test_spoilt_actions_are_counted_and_the_others_keep_their_order(tmp_path: Path) -> None:
    rows = [
        changed(ACTION, {"action_idx": 4}),
        changed(ACTION, {"action_clip_end_frame": 382}),
        changed(ACTION, {"clip_parent_end_frame": 1}),
        changed(ACTION, {"verb_label": 115}),
        changed(ACTION, {"noun_label": -2}),
        changed(ACTION, {"action_idx": 1}),
    ]
    skips = Skips()
    taxonomy = Taxonomy(("v",) * 115, ("n",) * 478)
    found = read_actions(clips(tmp_path, *rows, name="fho_lta_train.json"), skips, taxonomy)
    assert [action.action_idx for action in found] == [4, 0, 0, 0, 0, 1]
    assert [action.timed for action in found] == [True, False, False, True, True, True]
    assert [(action.verb, action.noun) for action in found[2:5]] == [(65, 131), (-1, 131), (65, -1)]
    examples = [entry["examples"] for entry in skips.to_dict().values()]
    assert sorted(examples) == [[f"fho_lta_train.json: clips[{i}]"] for i in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, Window("u", "1805", "b-2_48-10_48", 74, 314, True, 184)),
        ({"clip_uid": None, "state_change": False, "parent_pnr_frame": ..., "pnr_frame": None}, (False, None)),
        ({"state_change": None}, (None, 184)),
        ({"state_change": ..., "parent_pnr_frame": None}, (None, None)),
        ({"clip_id": 1805}, (True, 184)),
        ({"clip_uid": ..., "clip_start_frame": ..., "unique_id": "b_12.5"}, (True, 184)),
    ],
)
def test_windows_load_with_their_quirks(tmp_path: Path, change: Rows, expected: Any) -> None:
    (window,) = read_windows(clips(tmp_path, changed(WINDOW, change), name="fho_oscc-pnr_train.json"), Skips())
    if isinstance(expected, tuple):
        assert (window.state_change, window.pnr) == expected
        assert (window.clip_id, window.start, window.end) == ("1805", 74, 314)
    else:
        assert window == expected


def test_an_empty_window_is_counted(tmp_path: Path) -> None:
    skips = Skips()
    path = clips(tmp_path, changed(WINDOW, {"parent_end_frame": 74}), WINDOW, name="fho_oscc-pnr_val.json")
    assert len(read_windows(path, skips)) == 1
    assert skips.to_dict() == {
        "window that ends before it starts": {"count": 1, "examples": ["fho_oscc-pnr_val.json: clips[0]"]}
    }


def test_moments_load_with_their_quirks(tmp_path: Path) -> None:
    labels = [
        LABEL,
        changed(LABEL, {"label": '"clean_/_wipe_(table,_floor)"', "primary": False}),
        changed(LABEL, {"video_end_frame": 13529}),  # of no length
        LABEL,
    ]
    clip = changed(CLIP, {"video_start_frame": -3, "video_start_sec": -0.1})
    clip["annotations"] = [{"labels": labels[:2]}, {"labels": labels[2:]}, {"labels": []}]
    skips = Skips()
    (found,) = read_moments(moments(tmp_path, clip), skips)
    assert found.moments == (
        Moment("cut_dough", 13529, 13651, True),
        Moment('"clean_/_wipe_(table,_floor)"', 13529, 13651, False),
        Moment("cut_dough", 13529, 13651, True),
    )
    assert (found.start, found.start_s, found.end_s, found.annotated) == (-3, -0.1, 930.0, True)
    place = "moments_train.json: videos[0].clips[0].annotations[1].labels[0]"
    assert skips.to_dict() == {"moment of no length": {"count": 1, "examples": [place]}}


@pytest.mark.parametrize("annotations", [..., None])
def test_moments_of_the_test_split_have_no_annotations(tmp_path: Path, annotations: Any) -> None:
    (clip,) = read_moments(moments(tmp_path, changed(CLIP, {"annotations": annotations})), Skips())
    assert (clip.moments, clip.annotated) == ((), False)


def test_an_empty_clip_is_counted(tmp_path: Path) -> None:
    skips = Skips()
    assert read_moments(moments(tmp_path, changed(CLIP, {"video_end_frame": 13501})), skips) == []
    assert list(skips.to_dict()) == ["clip that ends before it starts"]


@pytest.mark.parametrize(
    ("row", "change", "message"),
    [
        (ACTION, {"action_idx": "3"}, 'clips[1].action_idx is "3", expected a whole number of frames'),
        (ACTION, {"action_idx": 3.5}, "clips[1].action_idx is 3.5, expected a whole number"),
        (ACTION, {"action_idx": True}, "clips[1].action_idx is true"),
        (ACTION, {"action_idx": float("nan")}, "clips[1].action_idx is NaN"),
        (ACTION, {"action_idx": 10**300}, "clips[1].action_idx is 1000000"),
        (ACTION, {"action_idx": float("1e300")}, "clips[1].action_idx is 1e+300"),
        (ACTION, {"clip_parent_start_frame": ...}, "clips[1].clip_parent_start_frame is missing"),
        (ACTION, {"verb_label": 1.0}, "clips[1].verb_label is 1.0, expected a label id"),
        (ACTION, {"noun_label": None}, "clips[1].noun_label is null"),
        (ACTION, {"video_uid": ""}, 'clips[1].video_uid is ""'),
        (ACTION, {"video_uid": "../x"}, 'clips[1].video_uid is "../x", expected a uid'),
        (ACTION, {"video_uid": "a\nb"}, 'clips[1].video_uid is "a\\nb", expected a uid'),
        (ACTION, {"clip_uid": "\ud800"}, "clips[1].clip_uid is"),
        (WINDOW, {"state_change": "yes"}, 'clips[1].state_change is "yes", expected true or false'),
        (WINDOW, {"state_change": 1}, "clips[1].state_change is 1, expected true or false"),
        (WINDOW, {"clip_id": None}, "clips[1].clip_id is null, expected a text"),
        (WINDOW, {"unique_id": ["x" * 999]}, 'clips[1].unique_id is ["xxxxx'),
    ],
)
def test_a_wrong_value_is_named_with_its_place(tmp_path: Path, row: Rows, change: Rows, message: str) -> None:
    source, read = ("fho_lta", read_actions) if row is ACTION else ("fho_oscc-pnr", read_windows)
    path = clips(tmp_path, row, changed(row, change), name=f"{source}_train.json")
    with pytest.raises(UserError) as caught:
        read(path, Skips())
    text = str(caught.value)
    assert text.startswith(f"{path}: {message}")
    assert "\n" not in text
    assert len(text) < len(str(path)) + 200


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ({"video_start_sec": "0"}, 'videos[0].clips[0].video_start_sec is "0", expected a number of seconds'),
        ({"video_end_sec": float("inf")}, "videos[0].clips[0].video_end_sec is Infinity"),
        ({"annotations": {}}, "videos[0].clips[0].annotations is {}, expected a list"),
        ({"annotations": [3]}, "videos[0].clips[0].annotations[0] is 3, expected an object"),
        ({"annotations": [{"labels": [changed(LABEL, {"primary": ...})]}]},
         "videos[0].clips[0].annotations[0].labels[0].primary is missing"),
    ],
)  # fmt: skip
def test_a_wrong_value_of_moments_is_named_with_its_place(tmp_path: Path, clip: Rows, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_moments(moments(tmp_path, changed(CLIP, clip)), Skips())
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"clips": [{"vid', "not whole JSON at line 1 column 13"),
        (b"", "not whole JSON at line 1 column 1"),
        (b"\xff\xfe{}", "not UTF-8 at byte 0"),
        (b"[]", "the top level is [], expected an object"),
        (b"{}", "clips is missing, expected a list"),
        (b'{"clips": {"a": 1}}', 'clips is {"a": 1}, expected a list'),
        (b'{"clips": [7]}', "clips[0] is 7, expected an object"),
        (b'{"clips": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"clips": [' + b"9" * 5000 + b"]}", "not JSON"),
    ],
)
@pytest.mark.parametrize("read", [read_actions, read_windows])
def test_a_damaged_file_is_refused(
    tmp_path: Path, content: bytes, message: str, read: Callable[[Path, Skips], object]
) -> None:
    path = tmp_path / "fho_lta_train.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read(path, Skips())
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_actions(tmp_path / "fho_lta_train.json", Skips())
    with pytest.raises(UserError, match="Is a directory"):
        read_actions(tmp_path, Skips())

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UserError, match="Permission denied"):
        read_actions(tmp_path / "fho_lta_train.json", Skips())


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = clips(tmp_path, ACTION, name="fho_lta_train.json")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_actions(path, Skips())) == 1


def test_taxonomy_is_read_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / layout.TAXONOMY
    path.write_text('{"verbs": ["put_(place,_leave)", "cut"], "nouns": ["apple"]}')
    assert read_taxonomy(path) == Taxonomy(("put_(place,_leave)", "cut"), ("apple",))
    for text, message in (
        ('{"nouns": []}', "verbs is missing, expected a list of names"),
        ('{"verbs": [], "nouns": null}', r"verbs is \[\], expected a list of names"),
        ('{"verbs": "a", "nouns": ["a"]}', "verbs is "),
        ('{"verbs": ["a", 3], "nouns": ["a"]}', r"verbs\[1\] is 3, expected a text"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            read_taxonomy(path)


@pytest.mark.parametrize(
    "text", ['{"verbs": ["a"]}', '{"verbs": ["a"], "nouns": []}', '{"verbs": ["a"], "nouns": null}']
)
def test_a_taxonomy_of_verbs_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / layout.TAXONOMY
    path.write_text(text)
    assert read_taxonomy(path) == Taxonomy(("a",), ("none",))
    path.write_text(text.replace("verbs", "x").replace("nouns", "verbs").replace("x", "nouns"))
    assert read_taxonomy(path) == Taxonomy(("none",), ("a",))


@pytest.mark.parametrize("given", [..., None])
def test_a_file_of_nouns_alone(tmp_path: Path, given: Any) -> None:
    rows = [changed(ACTION, {"verb_label": given, "action_idx": index}) for index in range(2)]
    skips = Skips()
    actions = read_actions(clips(tmp_path, *rows, name="fho_lta_train.json"), skips)
    assert [(action.verb, action.noun) for action in actions] == [(-1, 131)] * 2
    assert not len(skips)
    whole = clips(tmp_path, *rows, ACTION, name="fho_lta_train.json")
    with pytest.raises(UserError, match=r"clips\[0\]\.verb_label is (missing|null), expected a label id"):
        read_actions(whole, Skips())


def label_root(tmp_path: Path) -> Path:
    folder = layout.annotation_dir(tmp_path, "v1")
    folder.mkdir(parents=True)
    labels = [LABEL, changed(LABEL, {"label": '"b,_(c)"', "video_end_frame": 13529})]
    moments(folder, changed(CLIP, {"annotations": [{"labels": labels}]}))
    other = [changed(LABEL, {"label": "a"}), changed(LABEL, {"label": "never", "primary": False})]
    moments(folder, changed(CLIP, {"annotations": [{"labels": other}]}), name="moments_val.json")
    return tmp_path


def test_moment_labels_without_a_file_are_the_sorted_primary_ones(tmp_path: Path) -> None:
    assert read_moment_labels(label_root(tmp_path), "v1") == ('"b,_(c)"', "a", "cut_dough")


def test_moment_labels_of_a_file_keep_quotes_and_ids(tmp_path: Path) -> None:
    root = label_root(tmp_path)
    layout.moment_labels_file(root).write_text('001\tcut_dough\r\n000\t"b,_(c)"\n002\ta\u2028b\n')
    assert read_moment_labels(root, "v1") == ('"b,_(c)"', "cut_dough", "a\u2028b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("000\ta\nb\n", r"line 2 is 'b', expected an id, a tab and a label"),
        ("000 a\n", "line 1 is '000 a'"),
        ("000\t\n", r"line 1 is '000\\t'"),
        ("-1\ta\n", "line 1 is"),
        ("000\ta\n\n001\tb\n", "line 2 is ''"),
        ("000\ta\n000\tb\n", "line 2 repeats"),
        ("000\ta\n001\ta\n", "line 2 repeats"),
        ("000\ta\n002\tb\n", r"ids are not 0 \.\.\. 1"),
        ("", "line 1 is ''"),
    ],
)
def test_malformed_moment_labels_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = layout.moment_labels_file(tmp_path)
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_moment_labels(tmp_path, "v1")


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_parity_corpus_gives_the_segments_of_its_fixture(split: str) -> None:
    labels = read_moment_labels(CORPUS, "v1")
    found = read_moments(layout.annotation_file(CORPUS, "v1", "moments", split), Skips())
    clips = {clip.clip_uid: clip for clip in found}
    samples = json.loads((PIPELINE / f"samples_mq_{split}.json").read_text())
    assert samples
    for sample in samples:
        clip = clips[sample["key"]]
        primary = list(dict.fromkeys((m.start, m.end, m.label) for m in clip.moments if m.primary))
        seconds = [(frame - clip.start + clip.start % 16) / 30 for start, end, _ in primary for frame in (start, end)]
        assert seconds == pytest.approx([s for segment in sample["segments_s"] for s in segment], abs=1e-4)
        assert [labels.index(label) for *_, label in primary] == sample["labels"]


@pytest.mark.parametrize("split", layout.SPLITS)
def test_the_parity_corpus_loads_whole(split: str) -> None:
    skips = Skips()
    taxonomy = read_taxonomy(layout.taxonomy_file(CORPUS, "v1"))
    sizes = {"fho_lta": 0, "fho_oscc-pnr": 0}
    for source in sizes:
        sizes[source] = len(json.loads(layout.annotation_file(CORPUS, "v1", source, split).read_text())["clips"])
    actions = read_actions(layout.annotation_file(CORPUS, "v1", "fho_lta", split), skips, taxonomy)
    windows = read_windows(layout.annotation_file(CORPUS, "v1", "fho_oscc-pnr", split), skips)
    assert (len(actions), len(windows), len(skips)) == (*sizes.values(), 0)


def test_actions_without_a_label_are_kept(tmp_path: Path) -> None:
    rows = [changed(ACTION, {"verb_label": verb, "noun_label": noun}) for verb, noun in ((-1, 2), (1, -1), (-1, -1))]
    path, skips = clips(tmp_path, *rows, name="fho_lta_train.json"), Skips()
    found = read_actions(path, skips, Taxonomy(("a", "b"), ("c", "d", "e")))
    assert [(one.verb, one.noun) for one in found] == [(-1, 2), (1, -1), (-1, -1)]
    assert not len(skips)


def test_a_row_whose_clip_ends_elsewhere_lies_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "annotations" / "v1"
    folder.mkdir(parents=True)
    (folder / layout.TAXONOMY).write_text(json.dumps({"verbs": ["a"] * 200, "nouns": ["b"] * 600}))
    end = ACTION["clip_parent_end_frame"]
    rows = [changed(ACTION, {"action_idx": index, "clip_parent_end_frame": end + (index == 2)}) for index in range(3)]
    clips(folder, *rows, name="fho_lta_train.json")
    skips = Skips()
    (found,) = Annotations(tmp_path, "v1").actions_by_clip("train", skips).values()
    assert [(one.timed, one.clip_end) for one in found] == [(True, end), (True, end), (False, end)]
    assert skips.to_dict()["action that lies elsewhere than its clip"]["count"] == 1
