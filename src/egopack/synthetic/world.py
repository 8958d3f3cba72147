"""The world behind the built-in corpus: what happens in a video, and the features that a backbone would see of it.

The model, from the slowest to the fastest variable (times in seconds, one random generator per video):

1. A video has one **scenario**; a scenario prefers some verbs, some nouns (what lies around) and some **activities**,
   the long half of the moment classes, which follow each other for 4 to 60 s with gaps and overlaps.
2. **Actions** come in bursts. The verb follows a grammar, P(v' | v, a, s) ∝ (GRAMMAR · successors of v + (1 - GRAMMAR)
   · long-tailed favourites of activity a) · preference of scenario s; the noun stays with probability STICK, or is
   drawn to suit verb, activity and scenario. So a glimpse of what goes on tells much of what will.
3. Some verbs **trigger** a short moment (the other half of the classes, 1 to 10 s) around the action, nested in the
   activity.
4. A verb either changes the state of things or not (probability CHANGES or RARELY): a change has a **point of no
   return** (PNR) at which the noun's binary state flips. Verbs that for once change nothing make hard negatives.
5. **Features**, one row per 16 frames: x = (z + drift) W + noise. z stacks blocks: verb (a bump around the action),
   noun (a wider bump), state (±1 while the noun is in view, flips at the PNR), change (a transient near the PNR),
   moment (the classes under way), scenario. Every action blurs its verb and noun by a vector of its own, so that no
   number of rows names an action for certain and context is worth something. W is a dense rotation, so that no column
   alone names a label.

What the tasks share, then: verb → change and transient (AR, OSCC, PNR), activity → verbs and nouns to come (MQ, AR,
LTA), verb → short moment (AR, MQ), noun → state (AR, OSCC).

What each of these is modelled on:

- Verbs and verb-noun pairs have long tails (Damen et al., Rescaling Egocentric Vision, IJCV 2022). In
  16,115 actions of EPIC-KITCHENS-100 the r-th most frequent of the first 20 verbs is as frequent as r^-1.34, of nouns
  r^-0.49, and a tenth of the pairs makes up 65% of the actions; here that is r^-0.57, r^-0.53 and 40% with `tail` 0,
  r^-1.34, r^-0.59 and 52% with `tail` 1.
- A change of state belongs to a phase of an action, which the point of no return parts from what was before (Grauman et
  al., Ego4D, CVPR 2022, section 5.2, hands and objects).
- Moments last longer than actions and span several, or are nested in longer ones (Ego4D, section 5.1, moment queries).
- What comes next follows from the activity by a grammar (Kuehne et al., The Language of Actions, CVPR 2014; Ego4D,
  section 5.5, long-term anticipation).
- Tasks are annotated on videos that overlap in part: `labelled` in params.yaml. That they share a world at all can be
  taken away: `sites` and `sharing` (synthetic/sites.py).

The tables, W among them, are those of one world, which `world` names, and `seed` draws the videos: corpora of different
seeds are other footage of the same life and equally hard. Another world has another grammar, as regular as the first
(permutations, tight frames, one order of popularity).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from egopack.params import SyntheticParams
from egopack.synthetic.vocabulary import ACTIVITIES, CHANGING, NOUNS, TRIGGERED, VERBS

Rng = np.random.Generator
FPS = 30.0
STRIDE = 16
GRAMMAR, STICK, PREFERENCE = 0.5, 0.5, 12.0
CHANGES, RARELY = 0.9, 0.05
TRIGGER = 0.25
SCENARIOS = ("Cooking", "Carpenter", "Cleaning / laundry", "Gardening", "Crafting/knitting/sewing/drawing/painting")
BLOCKS = {"verb": 16, "noun": 16, "state": 6, "change": 4, "moment": 14, "scenario": 4}
GAINS = {"verb": 5.5, "noun": 4.0, "state": 1.8, "change": 2.7, "moment": 2.4, "scenario": 2.0}
BLUR = {"verb": 0.17, "noun": 0.25}  # of an action's own vector, per dimension, before the gain


@dataclass(frozen=True)
class World:
    """The tables that all videos share. V verbs, N nouns, M moment classes of which the first A are activities."""

    verbs: tuple[str, ...]  # V names, sorted: index = label id
    nouns: tuple[str, ...]
    moments: tuple[str, ...]
    changes: np.ndarray  # [V] probability of a state change
    successors: np.ndarray  # [V, V] rows sum to 1
    verb_tilt: np.ndarray  # [A, V] rows sum to 1
    noun_tilt: np.ndarray  # [A, N]
    affinity: np.ndarray  # [V, N]
    activities: np.ndarray  # [S, A] rows sum to 1
    scenario_verbs: np.ndarray  # [S, V]
    scenario_nouns: np.ndarray  # [S, N]
    lengths: np.ndarray  # [M] typical seconds of a moment
    trigger: np.ndarray  # [V] moment class that a verb may set off, or -1
    tables: dict[str, np.ndarray]  # block name -> [entities, block size], unit rows
    mixing: np.ndarray  # [sum of block sizes, D]


@dataclass(frozen=True)
class Event:
    """An action at `time` (s) in LTA clip number `clip`; `pnr` (s) where it changed a state."""

    time: float
    verb: int
    noun: int
    pnr: float | None
    clip: int


@dataclass(frozen=True)
class Timeline:
    """All that happens in a video; `intervals` (s) are its LTA clips, `moments` are (class, start s, end s)."""

    scenario: int
    frames: int
    intervals: tuple[tuple[float, float], ...]
    events: tuple[Event, ...]
    moments: tuple[tuple[int, float, float], ...]

    @property
    def seconds(self) -> float:
        return self.frames / FPS


def _names(known: tuple[str, ...], count: int, kind: str) -> list[str]:
    return [*known[:count]] + [f"{kind}_{index:03d}" for index in range(len(known), count)]


def _frame(rng: Rng, count: int, size: int) -> np.ndarray:
    """[count, size] unit rows of a random rotation: orthogonal where they fit, else a tight frame."""
    basis, _ = np.linalg.qr(rng.standard_normal((max(count, size), max(count, size))))
    rows = basis[:count, :size]
    unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _favourites(rng: Rng, rows: int, columns: int, each: int) -> np.ndarray:
    """[rows, columns] bool, `each` per row, dealt like cards so that the columns are chosen about equally often."""
    each = min(each, columns)
    cards = np.concatenate([rng.permutation(columns) for _ in range(-(-rows * each // columns))])
    chosen = np.zeros((rows, columns), dtype=bool)
    for row in range(rows):
        chosen[row, cards[row * each : (row + 1) * each]] = True
    return chosen


def _grammar(rng: Rng, verbs: int) -> np.ndarray:
    """[V, V] successor probabilities: three permutations, so that no verb is everybody's successor."""
    table = np.zeros((verbs, verbs))
    for weight in (0.55, 0.3, 0.15):
        order = rng.permutation(verbs)
        table[order, np.roll(order, 1)] += weight
    return table


def _popular(successors: np.ndarray, zipf: np.ndarray, tail: float) -> np.ndarray:
    """Successors of which frequent verbs are likelier."""
    if not tail:
        return successors
    weighted = successors * zipf**tail
    likelier: np.ndarray = weighted / weighted.sum(axis=1, keepdims=True)
    return likelier


def build_world(settings: SyntheticParams) -> World:
    """Draw the tables of the world that `settings.world` names."""
    rng = np.random.default_rng(np.random.SeedSequence(settings.world).spawn(1)[0])
    v, n, m = settings.verbs, settings.nouns, settings.moments
    a, s = (m + 1) // 2, len(SCENARIOS)
    popular = _names(VERBS, v, "verb")
    order = np.argsort(popular)  # taxonomy ids follow the alphabet, popularity does not
    zipf = (np.arange(v) + 1.5)[order] ** -(0.9 + settings.tail)
    changing = np.array([popular[i] in CHANGING or (i >= len(VERBS) and i % 2 == 1) for i in order])
    tilt = zipf * np.where(_favourites(rng, a, v, 5), 8.0, 1.0)
    activities = np.full((s, a), 0.02)
    for scenario in range(s):
        for step, weight in enumerate((0.4, 0.3, 0.15, 0.1)):
            activities[scenario, (2 * scenario + step) % a] += weight
    trigger = np.full(v, -1)
    if m > a:
        hosts = rng.permutation(v)[: (v + 1) // 2]
        trigger[hosts] = a + np.arange(len(hosts)) % (m - a)
    size, total = settings.feature_size, sum(BLOCKS.values())
    counts = {"verb": v, "noun": n, "state": n + 1, "change": 1, "moment": m, "scenario": s}
    return World(
        verbs=tuple(popular[i] for i in order),
        nouns=tuple(sorted(_names(NOUNS, n, "noun"))),
        moments=tuple(_names(ACTIVITIES, a, "activity") + _names(TRIGGERED, m - a, "moment")),
        changes=np.where(changing, CHANGES, RARELY),
        successors=_popular(_grammar(rng, v), zipf, settings.tail),
        verb_tilt=tilt / tilt.sum(axis=1, keepdims=True),
        noun_tilt=((rng.permutation(n) + 3.0) ** -0.5) * np.where(_favourites(rng, a, n, 5), 8.0, 1.0),
        affinity=np.where(_favourites(rng, v, n, max(n // 4, 1)), 6.0, 1.0) ** (1 + settings.tail),
        activities=activities / activities.sum(axis=1, keepdims=True),
        scenario_verbs=np.where(_favourites(rng, s, v, max(v // 4, 1)), PREFERENCE, 1.0),
        scenario_nouns=np.where(_favourites(rng, s, n, max(n // 5, 1)), PREFERENCE, 1.0),
        lengths=np.concatenate([rng.permutation(np.geomspace(12, 50, a)), rng.permutation(np.geomspace(2, 8, m - a))]),
        trigger=trigger,
        tables={name: _frame(rng, counts[name], BLOCKS[name]) for name in BLOCKS},
        mixing=_frame(rng, total, size) if size >= total else rng.standard_normal((total, size)) / np.sqrt(size),
    )


def _activities(world: World, scenario: int, seconds: float, rng: Rng) -> list[tuple[int, float, float]]:
    """The long moments, in order of start."""
    spans: list[tuple[int, float, float]] = []
    at, last = rng.uniform(0, 4), -1
    while at < seconds - 4:
        weights = world.activities[scenario].copy()
        if last >= 0 and len(weights) > 1:
            weights[last] = 0
        last = int(rng.choice(len(weights), p=weights / weights.sum()))
        length = float(np.clip(world.lengths[last] * np.exp(0.3 * rng.standard_normal()), 4, 60))
        spans.append((last, at, min(at + length, seconds)))
        at += length * rng.uniform(0.7, 0.95) if rng.random() < 0.2 else length + rng.exponential(5)
    return spans or [(0, 0.0, seconds)]


def _times(start: float, end: float, count: int, rng: Rng) -> np.ndarray:
    """[count] action times (s): bursts with pauses, filling the interval."""
    gaps = np.where(rng.random(count) < 0.75, 3 + rng.gamma(2, 0.8, count), 12 + rng.gamma(2, 5, count))
    edges = np.concatenate([[0.0], np.cumsum(gaps)])
    times: np.ndarray = start + (end - start) * (edges[:-1] + 0.5 * gaps[0]) / (edges[-1] + 0.5 * gaps[0])
    return times


def _act(world: World, scenario: int, activity: int, verb: int, noun: int, rng: Rng) -> tuple[int, int]:
    """The next verb and noun."""
    weights = GRAMMAR * world.successors[verb] + (1 - GRAMMAR) * world.verb_tilt[activity]
    weights = weights * world.scenario_verbs[scenario]
    verb = int(rng.choice(len(weights), p=weights / weights.sum()))
    if rng.random() >= STICK:
        suits = world.noun_tilt[activity] * world.affinity[verb] * world.scenario_nouns[scenario]
        noun = int(rng.choice(len(suits), p=suits / suits.sum()))
    return verb, noun


def simulate(world: World, settings: SyntheticParams, rng: Rng) -> Timeline:
    """Draw what happens in one video."""
    two = rng.random() < settings.two_clips
    seconds = 60 * settings.mean_minutes * rng.uniform(0.8, 1.2) * (1.8 if two else 1.0)
    frames = int(seconds * FPS)
    seconds = frames / FPS
    scenario = int(rng.integers(len(SCENARIOS)))
    moments = _activities(world, scenario, seconds, rng)
    starts = np.array([start for _, start, _ in moments])
    bounds = np.linspace(rng.uniform(0, 3), seconds - rng.uniform(0, 3), 3 if two else 2)
    verb, noun = int(rng.integers(settings.verbs)), int(rng.integers(settings.nouns))
    events: list[Event] = []
    for clip, (low, high) in enumerate(pairwise(bounds)):
        count = max(settings.min_actions, round((high - low) / 60 * settings.actions_per_minute))
        for time in _times(low, high, count, rng):
            activity = moments[max(int(np.searchsorted(starts, time, side="right")) - 1, 0)][0]
            verb, noun = _act(world, scenario, activity, verb, noun, rng)
            pnr = (
                min(float(time + rng.uniform(-0.4, 0.8)), seconds - 0.1) if rng.random() < world.changes[verb] else None
            )
            events.append(Event(float(time), verb, noun, None if pnr is None else max(pnr, 0.1), clip))
            if world.trigger[verb] >= 0 and rng.random() < TRIGGER:
                label = int(world.trigger[verb])
                half = 0.5 * np.clip(world.lengths[label] * np.exp(0.25 * rng.standard_normal()), 1.0, 10.0)
                moments.append((label, max(float(time - half), 0.0), min(float(time + half), seconds)))
    return Timeline(
        scenario,
        frames,
        tuple(pairwise(bounds.tolist())),
        tuple(events),
        tuple(moments),
    )


def _drift(rows: int, size: int, rng: Rng) -> np.ndarray:
    """[rows, size] slow wandering of unit variance: random cosines with periods of 30 to 240 s."""
    seconds = np.arange(rows)[:, None] * STRIDE / FPS
    waves = np.cos(2 * np.pi * seconds / rng.uniform(30, 240, 12) + rng.uniform(0, 2 * np.pi, 12))  # [rows, 12]
    drift: np.ndarray = waves @ rng.standard_normal((12, size)) / np.sqrt(6)
    return drift


def render(world: World, timeline: Timeline, settings: SyntheticParams, rows: int, rng: Rng) -> np.ndarray:
    """Features of one video, float32 [rows, D]; row i shows frames 16·i … 16·i + 15."""
    at = (np.arange(rows) * STRIDE + STRIDE / 2)[:, None] / FPS  # [rows, 1] seconds
    times = np.array([event.time for event in timeline.events])
    verbs = np.array([event.verb for event in timeline.events])
    nouns = np.array([event.noun for event in timeline.events])
    blocks = {name: np.zeros((rows, size)) for name, size in BLOCKS.items()}
    for name, labels, width in (("verb", verbs, 1.3), ("noun", nouns, 2.0)):
        own = BLUR[name] * rng.standard_normal((len(labels), BLOCKS[name]))
        blocks[name] += np.exp(-0.5 * ((at - times) / width) ** 2) @ (world.tables[name][labels] + own)
    for noun in np.unique(nouns):
        view = np.exp(-0.5 * ((at - times[nouns == noun]) / 3.0) ** 2).max(axis=1)  # [rows]
        flips = np.array([event.pnr for event in timeline.events if event.noun == noun and event.pnr is not None])
        state = (-1.0) ** (rng.integers(2) + (at >= flips).sum(axis=1))
        blocks["state"] += (view * state)[:, None] * (world.tables["state"][noun] + world.tables["state"][-1])
    for event in timeline.events:
        if event.pnr is not None:
            seen = event.pnr + 0.25 * rng.standard_normal()  # nobody marks the very moment
            transient = rng.uniform(0.3, 1.5) * np.exp(-0.5 * ((at - seen) / 0.8) ** 2)  # [rows, 1]
            blocks["change"] += transient * world.tables["change"][0]
    for label, start, end in timeline.moments:
        share = np.clip((np.minimum(at + 0.25, end) - np.maximum(at - 0.25, start)) / 0.5, 0, 1)  # [rows, 1]
        blocks["moment"] += share * rng.uniform(0.6, 1.3) * world.tables["moment"][label]
    blocks["scenario"] += world.tables["scenario"][timeline.scenario]
    latent = np.concatenate([GAINS[name] * blocks[name] for name in BLOCKS], axis=1)
    latent += settings.drift * _drift(rows, latent.shape[1], rng)
    features = latent @ world.mixing + settings.noise * rng.standard_normal((rows, settings.feature_size))
    coarse: np.ndarray = np.round(features * 1024) / 1024  # coarser than the last bits, in which CPUs differ
    return coarse.astype(np.float32)
