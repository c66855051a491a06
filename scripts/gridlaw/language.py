"""A small artificial language: text to pre-train on and five tasks that only pre-training makes solvable.

    the bakely tomin near the barn quietly ranols these gudets . so a person feeds beasts .
    this lumer is not fapoy but zitiry . so everyone is glad .

Function words and a few class words are English, every other word is an invented stem. What a stem means is nowhere in
its letters and must be gathered from the company it keeps:

* a noun has a *kind* (person, beast, ...), a verb a *sense* (feed, hunt, ...), an adjective a *polarity*, each of them
  a *topic*, and every inflected form is a word of its own. Frequencies fall like Zipf's, over words and over topics, so
  that more text keeps teaching: frequent words are learnt from little of it, rare ones only from much.
* a verb agrees in number with its subject, also across an intervening phrase, and its sense selects the kinds of its
  subject and object.
* negation flips polarity; active and passive sentences say the same.
* each property shows *near* the word (`truly` goes with praise, `utterly` with blame; a gist repeats an event in class
  words; a question about it is answered yes or no), because small models learn from near neighbours first.

The tasks ask for these properties without the cues. Words of a validation split never occur in the train split of any
task, and are drawn evenly, so that frequent and rare words count alike: a model that has not read the corpus can but
guess, and one that has read more of it knows more of the words. What one half of a pair says by itself never gives the
label away.

All chance comes from `random.Random(seed).random()`, whose stream is the same for every machine and version of Python.
"""

from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, product
from random import Random
from typing import NamedTuple

TASKS = ("acceptability", "sentiment", "paraphrase", "entailment", "similarity")
SPLITS = ("train", "validation")

# ---------------------------------------------------------------------------------------------- the words

KINDS = {  # kind: its class word, singular and plural
    "person": ("person", "people"),
    "beast": ("beast", "beasts"),
    "tool": ("tool", "tools"),
    "dish": ("dish", "dishes"),
    "plant": ("plant", "plants"),
}
SENSES = {  # sense: its class word (singular, plural, participle), kinds of subject, kinds of object
    "feed": (("feeds", "feed", "fed"), ("person", "plant"), ("person", "beast")),
    "hunt": (("hunts", "hunt", "hunted"), ("person", "beast"), ("person", "beast")),
    "eat": (("eats", "eat", "eaten"), ("person", "beast"), ("dish", "plant")),
    "make": (("makes", "make", "made"), ("person", "tool"), ("dish", "tool")),
    "hold": (("holds", "hold", "held"), ("tool", "plant"), ("beast", "dish")),
    "break": (("breaks", "break", "broken"), ("beast", "tool"), ("tool", "plant")),
}
POLARITIES = ("blame", "praise")  # the place in this tuple is the label of the sentiment task
PLACES = {  # topic, most frequent first: its places
    "farm": ("barn", "field", "fence", "well"),
    "harbour": ("quay", "ship", "bridge", "beach"),
    "kitchen": ("oven", "table", "cellar", "sink"),
    "market": ("stall", "square", "fountain", "gate"),
    "forest": ("clearing", "stream", "cabin", "path"),
    "castle": ("tower", "hall", "moat", "stable"),
}
TOPICS = tuple(PLACES)
NOUNS, VERBS, ADJECTIVES = 10, 4, 16  # stems for each topic and each kind, sense, polarity

DETERMINERS = (("the", "a", "this", "every"), ("the", "some", "these", "many"))  # singular, plural
BE = ("is", "are")
PREPOSITIONS = ("near", "behind", "with")
ADVERBS = ("often", "always", "quietly", "slowly", "now", "soon")
DEGREES = ("very", "quite", "rather")
NEGATIONS = ("not", "never", "hardly")
CUES = {"praise": ("truly", "nicely", "finely"), "blame": ("utterly", "badly", "sadly")}
MOODS = {"praise": ("glad", "pleased", "thankful"), "blame": ("sorry", "angry", "upset")}
FEELERS = (("everyone", "is"), ("we", "are"), ("they", "are"))

# ---------------------------------------------------------------------------------------------- how often

TOPIC_STAYS = 0.9  # a word belongs to the topic of its document
CUE = 0.5  # an adjective in the corpus carries a cue of its polarity
ATTRIBUTE = 0.35  # a noun phrase has an adjective
INTERVENE = 0.3  # a phrase stands between subject and verb
PASSIVE = 0.3
ADVERB = 0.3
REVIEW = 0.4  # a line of the corpus says what something is like, rather than what happens
NEGATED = 0.4  # a description is negated
LINES = (4, 8)  # of a document, at least and at most
SHORTEST_LINE = 14  # tokens; no sentence is longer than this, so two of them never exceed twice as much


# ---------------------------------------------------------------------------------------------- the lexicon


class Word(NamedTuple):
    forms: tuple[str, ...]  # noun: singular, plural; verb: singular, plural, participle; adjective: one
    split: str  # the only split of the tasks that may use it


class Urn:
    """Items to draw from; an item's weight falls with its rank, or all weigh the same."""

    def __init__(self, items: Sequence, weight: Callable[[int], float] = lambda rank: 1.0):
        self.items = tuple(items)
        self.bounds = tuple(accumulate(weight(rank) for rank in range(len(self.items))))

    def draw(self, rng: Random):
        point = rng.random() * self.bounds[-1]
        return self.items[bisect(self.bounds, point, hi=len(self.items) - 1)]


def zipf(rank: int) -> float:
    return 1.0 / (rank + 1)


def stems() -> Iterator[str]:
    """All stems, consonant-vowel-consonant-vowel-consonant, in an order that hides which follow each other."""
    parts = ("bdfgklmnprtvz", "aeiou", "bdgklmnprtvz", "aeiou", "bdgklmnprt")
    shapes = ["".join(letters) for letters in product(*parts)]
    step = 16_411  # has no factor in common with their number: the walk meets every shape once
    return (shapes[index * step % len(shapes)] for index in range(len(shapes)))


def lexicon() -> dict[tuple[str, str], tuple[Word, ...]]:
    """(class, topic): words, most frequent first. Splits alternate over the ranks, so both have frequent and rare words."""
    endings = (
        [(kind, NOUNS, ("", "s")) for kind in KINDS]
        + [(sense, VERBS, ("s", "", "ed")) for sense in SENSES]
        + [(polarity, ADJECTIVES, ("y",)) for polarity in POLARITIES]
    )
    unused, words = stems(), {}
    for row, (name, count, suffixes) in enumerate(endings):
        for column, topic in enumerate(TOPICS):
            words[name, topic] = tuple(
                Word(tuple(stem + suffix for suffix in suffixes), SPLITS[(row + column + rank) % 2])
                for rank, stem in zip(range(count), unused)
            )
    return words


LEXICON = lexicon()
CORPUS_WORDS = {cell: Urn(words, zipf) for cell, words in LEXICON.items()}
TASK_WORDS = {
    split: {cell: Urn([word for word in words if word.split == split]) for cell, words in LEXICON.items()}
    for split in SPLITS
}


# ---------------------------------------------------------------------------------------------- the grammar


class Gist(NamedTuple):
    """What happens, in classes: who does what to whom."""

    agent: str
    sense: str
    patient: str


GISTS = tuple(
    Gist(agent, sense, patient)
    for sense, (_, agents, patients) in SENSES.items()
    for agent, patient in product(agents, patients)
)


def shared(one: Gist, other: Gist) -> int:
    return sum(a == b for a, b in zip(one, other))


RELATED = {  # gist, how many parts the others share with it: those others
    (gist, parts): tuple(other for other in GISTS if shared(gist, other) == parts)
    for gist, parts in product(GISTS, range(4))
}


class Noun(NamedTuple):
    kind: str
    forms: tuple[str, ...]
    plural: bool


class Event(NamedTuple):
    gist: Gist
    agent: Noun
    verb: tuple[str, ...]
    patient: Noun


class Speaker:
    """Makes sentences, as lists of words, about one topic at a time."""

    def __init__(self, rng: Random, words: dict[tuple[str, str], Urn], topics: Urn, cue: float = 0.0):
        self.rng, self.words, self.topics, self.cue = rng, words, topics, cue
        self.turn()

    def turn(self) -> None:
        self.topic = self.topics.draw(self.rng)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def pick(self, items: Sequence):
        return items[int(self.rng.random() * len(items))]

    # Words and phrases

    def word(self, name: str) -> tuple[str, ...]:
        topic = self.topic if self.chance(TOPIC_STAYS) else self.topics.draw(self.rng)
        return self.words[name, topic].draw(self.rng).forms

    def noun(self, kind: str) -> Noun:
        return Noun(kind, self.word(kind), self.chance(0.5))

    def adjective(self, polarity: str) -> list[str]:
        """The adjective after a cue of its polarity, a word of degree or nothing."""
        if self.chance(self.cue):
            before = [self.pick(CUES[polarity])]
        else:
            before = [self.pick(DEGREES)] if self.chance(0.3) else []
        return [*before, *self.word(polarity)]

    def phrase(self, noun: Noun, polarity: str = "", determined_plural: bool | None = None) -> list[str]:
        """Determiner, perhaps an adjective of that polarity, noun."""
        plural = noun.plural if determined_plural is None else determined_plural
        attribute = self.adjective(polarity) if polarity and self.chance(ATTRIBUTE) else []
        return [self.pick(DETERMINERS[plural]), *attribute, noun.forms[noun.plural]]

    def aside(self, kind: str) -> list[str]:
        """A phrase between subject and verb: a place or more of the subject's kind, of either number."""
        if not self.chance(INTERVENE):
            return []
        if self.chance(0.5):
            return [self.pick(PREPOSITIONS), "the", self.pick(PLACES[self.topic])]
        return [self.pick(PREPOSITIONS), *self.phrase(self.noun(kind))]

    # Sentences

    def event(self, gist: Gist) -> Event:
        return Event(gist, self.noun(gist.agent), self.word(gist.sense), self.noun(gist.patient))

    def tell(self, event: Event, polarity: str = "", fault: str = "") -> list[str]:
        """The event as a sentence, active or passive, with at most one fault of grammar."""
        passive = self.chance(PASSIVE)
        subject, other = (event.patient, event.agent) if passive else (event.agent, event.patient)
        plural = subject.plural != (fault == "agreement")
        if passive:
            rest = [BE[plural], event.verb[2], "by", *self.phrase(other)]
        else:
            adverb = [self.pick(ADVERBS)] if self.chance(ADVERB) else []
            rest = [*adverb, event.verb[plural], *self.phrase(other, polarity)]
        wrongly = subject.plural != (fault == "determiner")
        return [*self.phrase(subject, polarity, wrongly), *self.aside(subject.kind), *rest, "."]

    def summarise(self, event: Event, gist: Gist) -> list[str]:
        """The gist in class words, active or passive, with the numbers of the event."""
        agent, patient = (
            [KINDS[kind][1]] if noun.plural else ["a", KINDS[kind][0]]
            for kind, noun in ((gist.agent, event.agent), (gist.patient, event.patient))
        )
        verb = SENSES[gist.sense][0]
        if self.chance(0.5):
            return [*patient, BE[event.patient.plural], verb[2], "by", *agent, "."]
        return [*agent, verb[event.agent.plural], *patient, "."]

    def describe(self, noun: Noun, polarity: str) -> list[str]:
        """What the noun is like; the polarity is that of the whole sentence."""
        opposite = POLARITIES[1 - POLARITIES.index(polarity)]
        if self.chance(NEGATED):
            quality = [self.pick(NEGATIONS), *self.word(opposite)]
            if self.chance(0.4):
                quality += ["but", *self.adjective(polarity)]
        else:
            quality = self.adjective(polarity)
            if self.chance(0.4):
                quality += ["and", *self.adjective(polarity)]
        return [*self.phrase(noun), *self.aside(noun.kind), BE[noun.plural], *quality, "."]

    # Sentences that say again, in common words, what another one said

    def react(self, polarity: str) -> list[str]:
        return ["so", *self.pick(FEELERS), self.pick(MOODS[polarity]), "."]

    def ask(self, event: Event) -> list[str]:
        """Is there a thing of this kind? With the answer."""
        present = (event.gist.agent, event.gist.patient)
        kind = self.pick(tuple(KINDS))
        return ["is", "there", "a", KINDS[kind][0], "?", "yes" if kind in present else "no", "."]

    def check(self, event: Event) -> list[str]:
        """Did this happen? With the answer."""
        if self.chance(0.5):
            gist, answer = event.gist, "yes"
        else:
            gist, answer = self.pick(RELATED[event.gist, 1] + RELATED[event.gist, 2]), "no"
        return [*self.summarise(event, gist)[:-1], "?", answer, "."]


# ---------------------------------------------------------------------------------------------- the corpus


def line(speaker: Speaker) -> list[str]:
    """Sentences on one theme: what something is like and how people feel about it, or what happens and its gist."""
    polarity = speaker.pick(POLARITIES)
    words: list[str] = []
    while len(words) < SHORTEST_LINE:
        if speaker.chance(REVIEW):
            words += speaker.describe(speaker.noun(speaker.pick(tuple(KINDS))), polarity)
            again = speaker.react(polarity)
        else:
            event = speaker.event(speaker.pick(GISTS))
            words += speaker.tell(event, polarity)
            how = speaker.rng.random()
            if how < 0.5:
                again = ["so", *speaker.summarise(event, event.gist)]
            else:
                again = speaker.ask(event) if how < 0.7 else speaker.check(event)
        if len(words) + len(again) <= 2 * SHORTEST_LINE:
            words += again
    return words


def documents(seed: int, words: int) -> Iterator[str]:
    """Documents, one line a segment, until `words` words and punctuation marks have been written."""
    speaker = Speaker(Random(f"corpus {seed}"), CORPUS_WORDS, Urn(TOPICS, zipf), cue=CUE)
    written = 0
    while written < words:
        speaker.turn()
        shortest, longest = LINES
        lines = [line(speaker) for _ in range(shortest + int(speaker.rng.random() * (longest - shortest + 1)))]
        written += sum(map(len, lines))
        yield "\n".join(map(" ".join, lines))


# ---------------------------------------------------------------------------------------------- the tasks


def acceptability(speaker: Speaker) -> dict:
    """Is the sentence well formed? Faults: number of the verb, number of the determiner, kind of the object."""
    label = int(speaker.chance(0.5))
    fault = "" if label else speaker.pick(("agreement", "determiner", "selection"))
    event = speaker.event(speaker.pick(GISTS))
    if fault == "selection":
        allowed = SENSES[event.gist.sense][2]
        event = event._replace(patient=speaker.noun(speaker.pick([kind for kind in KINDS if kind not in allowed])))
    return {"sentence": speaker.tell(event, fault=fault), "label": label}


def sentiment(speaker: Speaker) -> dict:
    """Is it praise?"""
    label = int(speaker.chance(0.5))
    noun = speaker.noun(speaker.pick(tuple(KINDS)))
    return {"sentence": speaker.describe(noun, POLARITIES[label]), "label": label}


def paraphrase(speaker: Speaker) -> dict:
    """Do both sentences tell of the same event? If not, they differ in one part or two."""
    gist, label = speaker.pick(GISTS), int(speaker.chance(0.5))
    told = gist if label else speaker.pick(RELATED[gist, 1] + RELATED[gist, 2])
    event = speaker.event(told)
    return {
        "sentence1": speaker.tell(event),
        "sentence2": speaker.summarise(event, gist),
        "label": label,
    }


def entailment(speaker: Speaker) -> dict:
    """Does it follow that there is a thing of this kind? 0: yes."""
    kind, label = speaker.pick(tuple(KINDS)), int(speaker.chance(0.5))
    fitting = [gist for gist in GISTS if (kind in (gist.agent, gist.patient)) != bool(label)]
    event = speaker.event(speaker.pick(fitting))
    hypothesis = ["there", "is", "a", KINDS[kind][0], "."]
    return {"sentence1": speaker.tell(event), "sentence2": hypothesis, "label": label}


def similarity(speaker: Speaker) -> dict:
    """How many of the three parts of an event do the sentences share, on a scale from 0 to 5?"""
    gist, parts = speaker.pick(GISTS), speaker.pick(range(4))
    event = speaker.event(speaker.pick(RELATED[gist, parts]))
    score = round(5 * parts / 3, 2)
    return {
        "sentence1": speaker.tell(event),
        "sentence2": speaker.summarise(event, gist),
        "label": score,
    }


MAKERS = dict(zip(TASKS, (acceptability, sentiment, paraphrase, entailment, similarity)))


def examples(task: str, split: str, seed: int, count: int) -> list[dict]:
    """`count` examples of a task's split, "train" or "validation"."""
    speaker = Speaker(Random(f"{task} {split} {seed}"), TASK_WORDS[split], Urn(TOPICS))
    made = []
    for _ in range(count):
        speaker.turn()
        example = MAKERS[task](speaker)
        made.append({key: " ".join(value) if isinstance(value, list) else value for key, value in example.items()})
    return made
