"""A small artificial language: text to pre-train on, and five tasks that need knowledge from the text.

    these wild dubels have eagerly fepeled the green gukug . every dubel is a beast .
    the young babab near the barn is not gamugy but truly zitiry , good .

Function words and a few class words are English; every other word is an invented stem. The letters of
a stem say nothing about its meaning, which can only be learned from the words around it:

* A noun has a *kind* (person, beast, ...), a verb a *sense* (feed, seek, ...), an adjective a
  *polarity*, and each of them a *topic*; singular and plural nouns are different words. Frequencies
  follow Zipf's law over words and over topics, so more text always helps: frequent words are learned
  from little text, rare ones only from much.
* A verb agrees in number with its subject, also across an intervening phrase, a determiner with its
  noun, and the sense of a verb selects the kinds of its agent and patient.
* `not` flips polarity. Active and passive sentences say the same, and a gist repeats an event in
  class words.
* Each class has one *cue*, which stands directly before its words (`wild` before beasts, `truly`
  before praise). Small models learn from one frequent, adjacent word long before they learn from
  several rarer or more distant ones. For the same reason a noun always has a modifier, and a verb an
  adverb: the next word is then at the same distance with or without a cue.

The tasks use no cues. The nouns, verbs and adjectives of a validation split never occur in a train
split, and all have the same frequency, so that rare words count as much as frequent ones. A model
without pre-training can only guess, and a model that has read more text knows more of the words. The
second sentence of a pair alone never determines the label.

All random numbers come from `random.Random(seed).random()`, the same on every machine and version.
"""

from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, islice, product
from random import Random
from typing import NamedTuple

TASKS = ("acceptability", "sentiment", "paraphrase", "entailment", "similarity")
SPLITS = ("train", "validation")

# ------------------------------------------------------------------------------ words with a class

KINDS = {  # kind of noun: its class word, singular and plural
    "person": ("person", "people"),
    "beast": ("beast", "beasts"),
    "tool": ("tool", "tools"),
    "plant": ("plant", "plants"),
}
SENSES = {  # sense of verb: its class word, kinds of agent, kinds of patient; each kind twice
    "feed": ("fed", ("person", "plant"), ("person", "beast")),
    "seek": ("sought", ("person", "beast"), ("beast", "plant")),
    "move": ("moved", ("beast", "tool"), ("plant", "tool")),
    "harm": ("harmed", ("tool", "plant"), ("tool", "person")),
}
POLARITIES = {"blame": "bad", "praise": "good"}  # polarity of adjective: verdict
OPPOSITE = {"blame": "praise", "praise": "blame"}
CUES = {
    "person": "young",
    "beast": "wild",
    "tool": "rusty",
    "plant": "green",
    "feed": "kindly",
    "seek": "eagerly",
    "move": "slowly",
    "harm": "roughly",
    "praise": "truly",
    "blame": "utterly",
}
PLACES = {  # topic, most frequent first: its places
    "farm": ("barn", "field", "fence", "well"),
    "harbour": ("quay", "ship", "bridge", "beach"),
    "kitchen": ("oven", "table", "cellar", "sink"),
    "market": ("stall", "square", "fountain", "gate"),
}
TOPICS = tuple(PLACES)
INVENTED = (  # classes, how many words of each for every topic, endings
    (tuple(KINDS), 6, ("", "s")),
    (tuple(SENSES), 6, ("ed",)),
    (tuple(POLARITIES), 30, ("y",)),
)

# --------------------------------------------------------------------------- words without a class

DETERMINERS = (("the", "a", "this", "every"), ("the", "some", "these", "many"))  # singular, plural
PRONOUNS = ("it", "they")
BE = ("is", "are")
HAVE = ("has", "have")
PREPOSITIONS = ("near", "behind", "with")
MODIFIERS = ("plain", "new", "big", "small")
ADVERBS = ("often", "always", "now", "soon")
DEGREES = ("very", "quite", "rather")

# -------------------------------------------------------------------------------------- how often

CUE = 0.9  # a word with a class has its cue, in the text
SAME_TOPIC = 0.9  # a word is of the topic of its document
ASIDE = 0.15  # a phrase stands between subject and verb
PASSIVE = 0.3
NEGATED = 0.3  # a description says what something is not
REVIEW = 0.5  # a line describes things, rather than tell what happens
GIST, DEFINITION = 0.3, 0.4  # probabilities of what follows an event
DOCUMENT = (4, 8)  # minimum and maximum number of lines
LINE = (14, 22)  # minimum and maximum number of words and punctuation marks


# ------------------------------------------------------------------------------------- the lexicon


class Word(NamedTuple):
    """An invented word: its forms, and the only split whose examples may use it."""

    forms: tuple[str, ...]
    split: str


class Urn:
    """Items to draw from; an item's weight depends on its rank."""

    def __init__(self, items: Sequence, weight: Callable[[int], float]):
        self.items = tuple(items)
        self.bounds = tuple(accumulate(map(weight, range(len(self.items)))))

    def draw(self, rng: Random):
        point = rng.random() * self.bounds[-1]
        return self.items[bisect(self.bounds, point, hi=len(self.items) - 1)]


def zipf(rank: int) -> float:
    return 1.0 / (rank + 1)


def even(rank: int) -> float:
    return 1.0


def stems() -> Iterator[str]:
    """Yield every stem once, in an order without a pattern."""
    sounds = ("bdfgklmnprtvz", "aeiou", "bdgklmnprtvz", "aeiou", "bdgklmnprt")
    shapes = ["".join(letters) for letters in product(*sounds)]
    step = 16_411  # shares no factor with the number of shapes: the walk meets each of them
    return (shapes[index * step % len(shapes)] for index in range(len(shapes)))


def lexicon() -> dict[tuple[str, str], tuple[Word, ...]]:
    """Return the words of each (class, topic), most frequent first, alternately for the two splits."""
    unused, words = stems(), {}
    for names, count, endings in INVENTED:
        for (row, name), (column, topic) in product(enumerate(names), enumerate(TOPICS)):
            words[name, topic] = tuple(
                Word(tuple(stem + ending for ending in endings), SPLITS[(row + column + rank) % 2])
                for rank, stem in enumerate(islice(unused, count))
            )
    return words


LEXICON = lexicon()


def urns(weight: Callable[[int], float], splits: Sequence[str] = SPLITS) -> dict:
    return {
        cell: Urn([word.forms for word in words if word.split in splits], weight) for cell, words in LEXICON.items()
    }


# ------------------------------------------------------------------------------------- the grammar


class Gist(NamedTuple):
    """Who does what to whom, in classes."""

    agent: str
    sense: str
    patient: str


GISTS = tuple(
    Gist(agent, sense, patient)
    for sense, (_, agents, patients) in SENSES.items()
    for agent, patient in product(agents, patients)
)


def related(gist: Gist, *shared: int) -> list[Gist]:
    """Return the gists that share one of these numbers of parts (of three) with a gist."""
    return [other for other in GISTS if sum(map(str.__eq__, gist, other)) in shared]


class Noun(NamedTuple):
    """A noun in a sentence."""

    kind: str
    forms: tuple[str, ...]
    plural: bool
    determiner: str


class Event(NamedTuple):
    """A gist with the words that express it."""

    gist: Gist
    agent: Noun
    verb: str
    patient: Noun


class Speaker:
    """Makes sentences, as lists of words, on one topic at a time."""

    def __init__(self, rng: Random, topics: Urn, words: dict[tuple[str, str], Urn], cue: float):
        self.rng, self.topics, self.words, self.cue = rng, topics, words, cue
        self.change_topic()

    def change_topic(self) -> None:
        self.topic = self.topics.draw(self.rng)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def pick(self, items: Sequence):
        return items[int(self.rng.random() * len(items))]

    # Words and phrases

    def word(self, name: str) -> tuple[str, ...]:
        topic = self.topic if self.chance(SAME_TOPIC) else self.topics.draw(self.rng)
        return self.words[name, topic].draw(self.rng)

    def noun(self, kind: str = "") -> Noun:
        kind, plural = kind or self.pick(tuple(KINDS)), self.chance(0.5)
        return Noun(kind, self.word(kind), plural, self.pick(DETERMINERS[plural]))

    def event(self, gist: Gist) -> Event:
        return Event(gist, self.noun(gist.agent), *self.word(gist.sense), self.noun(gist.patient))

    def before(self, name: str, otherwise: Sequence[str]) -> str:
        """Return the word before a word of a class: the cue of the class, or a word that fits every class."""
        return CUES[name] if self.chance(self.cue) else self.pick(otherwise)

    def phrase(self, noun: Noun) -> list[str]:
        return [noun.determiner, self.before(noun.kind, MODIFIERS), noun.forms[noun.plural]]

    def quality(self, polarity: str) -> list[str]:
        return [self.before(polarity, DEGREES), *self.word(polarity)]

    def aside(self, kind: str) -> list[str]:
        """Return, sometimes, a phrase between subject and verb: a place, or a noun of the subject's kind."""
        if not self.chance(ASIDE):
            return []
        place = self.pick(PLACES[self.topic])
        nearby = place if self.chance(0.5) else self.pick(self.word(kind))
        return [self.pick(PREPOSITIONS), "the", nearby]

    # Sentences

    def tell(self, event: Event, fault: str = "") -> list[str]:
        """Express an event, active or passive; a fault is a wrong number of the verb or determiner."""
        passive = self.chance(PASSIVE)
        subject, other = (event.patient, event.agent) if passive else (event.agent, event.patient)
        verb_plural = subject.plural != (fault == "verb")
        auxiliary, by = (BE, ["by"]) if passive else (HAVE, [])
        adverb = self.before(event.gist.sense, ADVERBS)
        predicate = [auxiliary[verb_plural], adverb, event.verb, *by, *self.phrase(other)]
        if fault == "determiner":  # any but "the", which goes with both numbers
            subject = subject._replace(determiner=self.pick(DETERMINERS[not subject.plural][1:]))
        return [*self.phrase(subject), *self.aside(subject.kind), *predicate, "."]

    def summarize(self, event: Event, gist: Gist) -> list[str]:
        """Express a gist in class words, active or passive, with the event's determiners and numbers."""
        agent, patient = event.agent, event.patient
        doer = [agent.determiner, KINDS[gist.agent][agent.plural]]
        target = [patient.determiner, KINDS[gist.patient][patient.plural]]
        verb = SENSES[gist.sense][0]
        if self.chance(PASSIVE):
            return ["so", *target, BE[patient.plural], verb, "by", *doer, "."]
        return ["so", *doer, HAVE[agent.plural], verb, *target, "."]

    def define(self, noun: Noun) -> list[str]:
        return ["every", noun.forms[0], "is", "a", KINDS[noun.kind][0], "."]

    def describe(self, noun: Noun, polarity: str) -> list[str]:
        """Describe a noun; the polarity is that of the whole sentence."""
        if self.chance(NEGATED):
            qualities = ["not", *self.word(OPPOSITE[polarity])]
            if self.chance(0.4):
                qualities += ["but", *self.quality(polarity)]
        else:
            qualities = self.quality(polarity)
            if self.chance(0.6):
                qualities += ["and", *self.quality(polarity)]
        return [*self.phrase(noun), *self.aside(noun.kind), BE[noun.plural], *qualities, "."]

    def judge(self, noun: Noun, polarity: str) -> list[str]:
        return [PRONOUNS[noun.plural], BE[noun.plural], POLARITIES[polarity], "."]


# ---------------------------------------------------------------------------------------- the text


def review(speaker: Speaker, polarity: str) -> list[str]:
    """Return a description and its verdict."""
    return [*speaker.describe(speaker.noun(), polarity)[:-1], ",", POLARITIES[polarity], "."]


def report(speaker: Speaker) -> list[str]:
    """Return an event, sometimes with its gist, or with the definition of a noun in it."""
    event = speaker.event(speaker.pick(GISTS))
    sentence, chance = speaker.tell(event), speaker.rng.random()
    if chance < GIST:
        return sentence + speaker.summarize(event, event.gist)
    if chance < GIST + DEFINITION:
        return sentence + speaker.define(speaker.pick((event.agent, event.patient)))
    return sentence


def line(speaker: Speaker) -> list[str]:
    """Return reviews of one polarity, or reports."""
    shortest, longest = LINE
    while True:
        polarity, words = speaker.pick(tuple(POLARITIES)), []
        reviews = speaker.chance(REVIEW)
        while len(words) < shortest:
            words += review(speaker, polarity) if reviews else report(speaker)
        if len(words) <= longest:
            return words


def documents(seed: int, words: int) -> Iterator[str]:
    """Yield documents, one segment per line, until there are `words` words and punctuation marks."""
    speaker = Speaker(Random(f"text {seed}"), Urn(TOPICS, zipf), urns(zipf), CUE)
    fewest, most = DOCUMENT
    written = 0
    while written < words:
        speaker.change_topic()
        lines = [line(speaker) for _ in range(speaker.pick(range(fewest, most + 1)))]
        written += sum(map(len, lines))
        yield "\n".join(map(" ".join, lines))


# --------------------------------------------------------------------------------------- the tasks


def acceptability(speaker: Speaker) -> dict:
    """Return an example: is a sentence well formed (1), or is a number or the kind of the patient wrong (0)?"""
    label = int(speaker.chance(0.5))
    fault = "" if label else speaker.pick(("verb", "determiner", "kind"))
    event = speaker.event(speaker.pick(GISTS))
    if fault == "kind":
        _, _, selected = SENSES[event.gist.sense]
        wrong = speaker.pick([kind for kind in KINDS if kind not in selected])
        event = event._replace(patient=speaker.noun(wrong))
    return {"sentence": speaker.tell(event, fault), "label": label}


def sentiment(speaker: Speaker) -> dict:
    """Return an example: is a sentence praise (1) or blame (0)?"""
    polarity = speaker.pick(("blame", "praise"))
    sentence = speaker.describe(speaker.noun(), polarity)
    return {"sentence": sentence, "label": int(polarity == "praise")}


def paraphrase(speaker: Speaker) -> dict:
    """Return an example: do two sentences express the same event (1), or differ in one or two parts (0)?"""
    gist, label = speaker.pick(GISTS), int(speaker.chance(0.5))
    event = speaker.event(gist if label else speaker.pick(related(gist, 1, 2)))
    second = speaker.summarize(event, gist)
    return {"sentence1": speaker.tell(event), "sentence2": second, "label": label}


def entailment(speaker: Speaker) -> dict:
    """Return an example: does the verdict follow from the description (0), or the opposite (1)?"""
    noun, verdict, label = speaker.noun(), speaker.pick(tuple(POLARITIES)), int(speaker.chance(0.5))
    premise = speaker.describe(noun, OPPOSITE[verdict] if label else verdict)
    return {"sentence1": premise, "sentence2": speaker.judge(noun, verdict), "label": label}


def similarity(speaker: Speaker) -> dict:
    """Return an example: how many of three parts do two events share, on a scale from 0 to 5?"""
    gist, shared = speaker.pick(GISTS), speaker.pick(range(4))
    event = speaker.event(speaker.pick(related(gist, shared)))
    second = speaker.summarize(event, gist)
    return {
        "sentence1": speaker.tell(event),
        "sentence2": second,
        "label": round(5 * shared / 3, 2),
    }


MAKERS = dict(zip(TASKS, (acceptability, sentiment, paraphrase, entailment, similarity), strict=True))


def examples(task: str, split: str, seed: int, count: int) -> list[dict]:
    """Return `count` examples of a task's split, "train" or "validation"."""
    speaker = Speaker(Random(f"{task} {split} {seed}"), Urn(TOPICS, even), urns(even, (split,)), cue=0.0)
    rows = []
    for _ in range(count):
        speaker.change_topic()
        columns = MAKERS[task](speaker)
        rows.append(
            {name: " ".join(value) if name.startswith("sentence") else value for name, value in columns.items()}
        )
    return rows
