"""Files of the form of EPIC-KITCHENS-100, drawn at random, and its scorers written a second time, step by step."""

from __future__ import annotations

import csv
import io
import json
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SEGMENTS = (
    *("narration_id", "participant_id", "video_id", "narration_timestamp", "start_timestamp", "stop_timestamp"),
    *("start_frame", "stop_frame", "narration", "verb", "verb_class", "noun", "noun_class"),
    *("all_nouns", "all_noun_classes"),
)
VERBS, NOUNS = 7, 12
TAIL_VERBS, TAIL_NOUNS, UNSEEN = (5, 6), (8, 9, 10, 11), ("P02",)
TIOU = (0.1, 0.2, 0.3, 0.4, 0.5)
Row = dict[str, Any]


def timestamp(seconds: float) -> str:
    """hh:mm:ss.ff"""
    whole = round(100 * seconds)
    return f"{whole // 360000:02d}:{whole // 6000 % 60:02d}:{whole % 6000 / 100:05.2f}"


def segment_rows(videos: Sequence[str], each: int, rng: np.random.Generator, seconds: float = 60.0) -> list[Row]:
    """Segments at whole quarters of a second, so that overlaps are often equal; drawn out of order."""
    rows = []
    for video in videos:
        for number in range(each):
            start = rng.integers(0, int(4 * seconds) - 20) / 4
            end = start + rng.integers(2, 18) / 4
            verb, noun = int(rng.integers(VERBS)), int(rng.integers(NOUNS))
            other = int(rng.integers(NOUNS))
            row = [f"{video}_{number}", video.split("_")[0], video, timestamp(start), timestamp(start), timestamp(end)]
            row += [int(60 * start) + 1, int(60 * end), "do it", f"verb{verb}", verb, f"noun{noun}", noun]
            row += [f"['noun{noun}', 'noun{other}']", f"[{noun}, {other}]"]
            rows.append(dict(zip(SEGMENTS, row, strict=True)))
    return rows


def write_rows(path: Path, rows: Sequence[Row], columns: Sequence[str] = SEGMENTS) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_annotations(folder: Path, rng: np.random.Generator) -> list[Row]:
    """The official files, of a few videos; returns the segments of the validation split."""
    train = segment_rows(["P01_01", "P01_02", "P03_01"], 30, rng)
    val = segment_rows(["P01_11", "P02_01", "P03_11"], 40, rng)
    test = segment_rows(["P04_01"], 10, rng)
    write_rows(folder / "EPIC_100_train.csv", train)
    write_rows(folder / "EPIC_100_validation.csv", val)
    write_rows(folder / "EPIC_100_test_timestamps.csv", test, SEGMENTS[:8])
    fps = {"P01_01": "59.9400599400599", "P01_02": "50.0", "P03_01": "29.97", "P01_11": "47.95", "P02_01": "90.0"}
    videos = sorted({row["video_id"] for row in [*train, *val, *test]})
    info = [
        {"video_id": video, "duration": 60.5, "fps": fps.get(video, "50.0"), "resolution": "1x1"} for video in videos
    ]
    write_rows(folder / "EPIC_100_video_info.csv", info, ("video_id", "duration", "fps", "resolution"))
    for part, count in (("verb", VERBS), ("noun", NOUNS)):
        classes = [{"id": i, "key": f"{part}{i}", "instances": f"['{part}{i}']", "category": "c"} for i in range(count)]
        write_rows(folder / f"EPIC_100_{part}_classes.csv", classes, ("id", "key", "instances", "category"))
    write_rows(folder / "EPIC_100_tail_verbs.csv", [{"verb": label} for label in TAIL_VERBS], ("verb",))
    write_rows(folder / "EPIC_100_tail_nouns.csv", [{"noun": label} for label in TAIL_NOUNS], ("noun",))
    people = [{"participant_id": name} for name in UNSEEN]
    write_rows(folder / "EPIC_100_unseen_participant_ids_validation.csv", people, ("participant_id",))
    return val


def write_folder(folder: Path) -> Path:
    """The official files with `fixtures/` beside them, the expected results by the scorers below."""
    rng = np.random.default_rng(5)
    rows = write_annotations(folder, rng)
    fixtures = folder / "fixtures"
    fixtures.mkdir()
    chosen = [rows[i] for i in rng.permutation(len(rows))[:90]]
    logits = {
        part: np.round(rng.standard_normal((len(chosen), count)) * 2, 1).astype(np.float32)
        for part, count in (("verb", VERBS), ("noun", NOUNS))
    }
    ids = np.array([row["narration_id"] for row in chosen], dtype=object)
    np.savez(fixtures / "recognition.npz", allow_pickle=True, narration_id=ids, **logits)
    (fixtures / "recognition_expected.json").write_text(json.dumps(recognition(chosen, logits)))
    videos = sorted({row["video_id"] for row in rows})
    found = detections(rows, videos[1:], rng)  # the first has no predictions
    (fixtures / "detection_detections.json").write_text(json.dumps({"version": "0.2", "results": found}))
    expected = {"videos": videos} | {part: detection(rows, found, part) for part in ("verb", "noun", "action")}
    (fixtures / "detection_expected.json").write_text(json.dumps(expected))
    return folder


def detections(rows: Sequence[Row], videos: Sequence[str], rng: np.random.Generator) -> dict[str, list[Row]]:
    """Segments near the true ones and others, scores all different, some of classes that are not in the truth."""
    found: dict[str, list[Row]] = {video: [] for video in videos}
    for row in rows:
        for _ in range(3 if row["video_id"] in found else 0):
            start, end = (seconds(row[f"{edge}_timestamp"]) + rng.integers(-4, 5) / 4 for edge in ("start", "stop"))
            verb = int(rng.choice([row["verb_class"], rng.integers(VERBS + 1)], p=[0.7, 0.3]))
            noun = int(rng.choice([row["noun_class"], rng.integers(NOUNS + 1)], p=[0.7, 0.3]))
            one = {"verb": verb, "noun": noun, "score": float(rng.random()), "segment": [start, max(end, start + 0.25)]}
            found[row["video_id"]].append(one | {"action": f"{verb},{noun}"})
    return found


def seconds(text: str) -> float:
    hours, minutes, rest = map(float, text.split(":"))
    return 3600 * hours + 60 * minutes + rest


# --- the scorers, one item at a time


def recognition(rows: Sequence[Row], logits: dict[str, np.ndarray]) -> dict[str, dict[str, list[float]]]:
    """Accuracies as the official scorer has them; of equal scores the higher class is the better."""
    right: dict[str, list[list[bool]]] = {"verb": [], "noun": [], "action": []}
    for number, row in enumerate(rows):
        order, probability = {}, {}
        for part, scores in logits.items():
            values = [float(score) for score in scores[number]]
            order[part] = sorted(range(len(values)), key=lambda label: (values[label], label))[::-1]
            power = np.exp(scores[number][order[part]] - scores[number].max())
            probability[part] = dict(zip(order[part], power / power.sum(), strict=True))
            right[part].append([row[f"{part}_class"] in order[part][:k] for k in (1, 5)])
        pairs = [(verb, noun) for verb in order["verb"] for noun in order["noun"]]
        product = [probability["verb"][verb] * probability["noun"][noun] for verb, noun in pairs]
        best = [pairs[i] for i in sorted(range(len(pairs)), key=lambda i: (product[i], i))[::-1]]
        right["action"].append([(row["verb_class"], row["noun_class"]) in best[:k] for k in (1, 5)])
    tail = {
        "verb": [row["verb_class"] in TAIL_VERBS for row in rows],
        "noun": [row["noun_class"] in TAIL_NOUNS for row in rows],
    }
    tail["action"] = [one or other for one, other in zip(tail["verb"], tail["noun"], strict=True)]
    unseen = [row["participant_id"] in UNSEEN for row in rows]
    report: dict[str, dict[str, list[float]]] = {"all": {}, "tail": {}, "unseen": {}}
    for part, hits in right.items():
        report["all"][part] = [100 * float(np.mean([hit[k] for hit in hits])) for k in (0, 1)]
        for name, chosen in (("tail", tail[part]), ("unseen", unseen)):
            kept = [hit[0] for hit, take in zip(hits, chosen, strict=True) if take]
            report[name][part] = [100 * float(np.mean(kept))]
    return report


def detection(rows: Sequence[Row], found: dict[str, list[Row]], part: str) -> dict[str, Any]:
    """mAP as the official scorer has it; of equal overlaps the later segment is taken."""

    def label(row: Row) -> Any:
        return (row["verb_class"], row["noun_class"]) if part == "action" else row[f"{part}_class"]

    def predicted(row: Row) -> Any:
        return (row["verb"], row["noun"]) if part == "action" else row[part]

    flat = [(one["score"], video, one) for video, ones in found.items() for one in ones]
    flat.sort(key=lambda entry: -entry[0])
    classes = {label(row) for row in rows}
    table = np.zeros((len(TIOU), len(classes)))
    for column, name in enumerate(sorted(classes)):
        truth = [row for row in rows if label(row) == name]
        given = [(video, one["segment"]) for _, video, one in flat if predicted(one) == name]
        for line, threshold in enumerate(TIOU):
            table[line, column] = _interpolated(list(_hits(truth, given, threshold)), len(truth))
    maps = [100 * float(value) for value in table.mean(axis=1)]
    return {"map_at_0.1_to_0.5": maps, "average": float(np.mean(maps))}


def _hits(truth: Sequence[Row], given: Sequence[tuple[str, Sequence[float]]], threshold: float) -> Iterator[bool]:
    taken: set[int] = set()
    for video, (start, end) in given:
        overlap: list[tuple[float, int]] = []
        for index, row in enumerate(truth):
            first, last = seconds(row["start_timestamp"]), seconds(row["stop_timestamp"])
            shared = max(min(end, last) - max(start, first), 0.0)
            if row["video_id"] == video:
                overlap.append((shared / ((end - start) + (last - first) - shared), index))
        hit = next((index for iou, index in sorted(overlap)[::-1] if iou >= threshold and index not in taken), None)
        if hit is not None:
            taken.add(hit)
        yield hit is not None


def _interpolated(hits: list[bool], positives: int) -> float:
    precision = [sum(hits[: k + 1]) / (k + 1) for k in range(len(hits))]
    return sum(max(precision[k:]) for k, hit in enumerate(hits) if hit) / positives


# --- reading


class _Texts(pickle.Unpickler):
    """Reads the texts of an array of objects, and lets nothing else be made."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.split(".")[0], name) in {("numpy", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no text")


def read_recognition(path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """Narration ids and logits of a recognition fixture, whose ids are an array of texts or of objects."""
    with np.load(path, allow_pickle=False) as file:
        logits = {part: file[part] for part in ("verb", "noun")}
        try:
            return [str(name) for name in file["narration_id"]], logits
        except ValueError:
            content = io.BytesIO(file.zip.read("narration_id.npy"))
    major, _ = np.lib.format.read_magic(content)
    (np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0)(content)
    return [str(name) for name in _Texts(content).load()], logits
