"""Makes short stories from the plots and words beside this file: `python story_grammar.py [seed] [count]`.

Separate from train.py so that the text can be read and made without torch. One seed always gives the same
stories. A story keeps its people, pronouns, places and things; a thing that breaks is mended with what it
needs, and a lost thing is found where the hero has been.
"""

import random
import re
import sys

import story_plots as plots
import story_words as words

PRONOUNS = {"f": ("she", "her", "her"), "m": ("he", "him", "his")}
CHOICE = re.compile(r"\[([^\[\]]*)\]")
SLOT = re.compile(r"\{([A-Za-z0-9_.]+)\}")


def article(noun):
    return ("an " if noun[0].lower() in "aeiou" and not noun.startswith(("uni", "one")) else "a ") + noun


def cap(text):
    return text[0].upper() + text[1:]


def person_slots(key, name, sex):
    he, him, his = PRONOUNS[sex]
    slots = {"": name, ".he": he, ".him": him, ".his": his, ".He": cap(he), ".His": cap(his)}
    return {key + k: v for k, v in slots.items()}


def pick_person(rng, key, taken):
    """A child or an animal with a name; returns its slots."""
    sex = rng.choice("fm")
    names = [n for n in (words.GIRLS if sex == "f" else words.BOYS) if n not in taken]
    name = rng.choice(names)
    taken.append(name)
    slots = person_slots(key, name, sex)
    trait, animal = rng.choice(words.TRAITS), rng.random() < 0.35
    kind = rng.choice(words.ANIMAL_HEROES) if animal else ("girl" if sex == "f" else "boy")
    adj = rng.choice(["little", "young", trait])
    slots[key + ".trait"] = trait if adj != trait else rng.choice([t for t in words.TRAITS if t != trait])
    slots[key + ".intro_short"] = article(f"{adj} {kind}")
    slots[key + ".intro"] = f"{article(f'{adj} {kind}')} [named|called] {name}"
    slots[key + ".intro_cap"] = cap(slots[key + ".intro"])
    return slots


def pick_elder(rng, family):
    name, sex = rng.choice(words.ELDERS if family else words.HELPERS)
    slots = person_slots("E", name, sex)
    return slots | {"E.the": "the " + name, "E.the_cap": "The " + name}


def pick_places(rng):
    slots = {}
    for key, (noun, preposition) in zip("PQR", rng.sample(words.PLACES, 3)):
        slots |= {key: f"{preposition} {noun}", key + "_cap": cap(f"{preposition} {noun}"), key + ".bare": noun}
    return slots


def pick_things(rng):
    treasure, color, look = rng.choice(words.TREASURES), rng.choice(words.COLORS), rng.choice(words.LOOKS)
    adj = rng.choice([color, f"{look} {color}"])
    thing, part, material, tool, works = rng.choice(words.BROKEN)
    craft, craft_how, craft_tool = rng.choice(words.CRAFTS)
    plant, size, harvest = rng.choice(words.PLANTS)
    trade1, trade2, trade3 = rng.sample(words.TRADES, 3)
    gift, hiding = rng.choice(words.GIFTS), rng.choice(words.HIDING)
    return {
        "O": treasure, "O.color": color, "O.adj": adj, "O.a": article(f"{adj} {treasure}"),
        "O.a_plain": article(treasure), "hiding": hiding, "hiding_cap": cap(hiding),
        "B": thing, "B.part": part, "B.material": material, "B.tool": tool, "B.works": works,
        "C": craft, "C.how": craft_how, "C.tool": craft_tool, "G": plant, "G.size": size,
        "G.yield": harvest, "gift": gift, "gift_cap": cap(gift), "trade1": trade1, "trade2": trade2,
        "trade3": trade3, "trade3_cap": cap(trade3), "food": rng.choice(words.FOODS),
        "A": rng.choice(words.SMALL_ANIMALS),
    }


def pick_events(rng):
    where, detail, tool, how = rng.choice(words.TRAPS)
    fear, reason, advice, good = rng.choice(words.FEARS)
    contest, verb, practice, trouble = rng.choice(words.CONTESTS)
    mystery, guess, truth = rng.choice(words.MYSTERIES)
    first, second = rng.sample(words.OBSTACLES, 2)
    return {
        "T.where": where, "T.detail": detail, "T.tool": tool, "T.how": how,
        "X": fear, "X.reason": reason, "X.advice": advice, "X.advice_cap": cap(advice),
        "X.did": advice.replace("your", "{H.his}"), "X.good": good,
        "K": contest, "K.verb": verb, "K.practice": practice, "K.trouble": trouble,
        "M": mystery, "M.guess": guess, "M.truth": truth, "M.truth_cap": cap(truth),
        "obstacle": first[0], "obstacle.how": first[1], "obstacle2": second[0], "obstacle2.how": second[1],
    }


def pick_slots(rng, family):
    taken, home, time = [], rng.choice(words.HOMES), rng.choice(plots.TIMES)
    slots = pick_person(rng, "H", taken) | pick_person(rng, "F", taken) | pick_elder(rng, family)
    slots |= pick_places(rng) | pick_things(rng) | pick_events(rng)
    slots |= {"home": home, "home_cap": cap(home), "time": time, "time_low": time[0].lower() + time[1:],
              "weather": rng.choice(words.WEATHER), "color": rng.choice(words.COLORS),
              "season": rng.choice(words.SEASONS),
              "day": rng.choice(words.DAYS), "sad": rng.choice(words.FEELINGS_SAD),
              "glad": rng.choice(words.FEELINGS_GLAD)}
    return slots


def expand(rng, text, slots):
    """Resolves choices and slots from the inside out until none is left."""
    while True:
        text, choices = CHOICE.subn(lambda m: rng.choice(m.group(1).split("|")), text)
        text, filled = SLOT.subn(lambda m: slots[m.group(1)], text)
        if not choices and not filled:
            return text


def make_story(rng):
    plot, family = rng.choice(plots.PLOTS)
    slots = pick_slots(rng, family)
    opening = rng.choice(plots.OPENINGS if family else plots.OPENINGS[:-1])
    beats = [opening] + ([] if plot is plots.QUARREL else [rng.choice(plots.FRIENDS)])
    for beat in plot:
        beats.append(rng.choice(beat))
        if rng.random() < 0.12:
            beats.append(rng.choice(plots.FILLERS))
    if rng.random() < 0.3:
        beats.append(rng.choice(plots.MORALS))
    beats.append(rng.choice(plots.ENDINGS))
    sentences = [expand(rng, beat, slots) for beat in beats]
    paragraphs, at = [], 0
    while at < len(sentences):
        size = rng.choice((3, 4, 5))
        paragraphs.append(" ".join(sentences[at:at + size]))
        at += size
    return "\n".join(paragraphs)


def make_stories(seed, count):
    rng = random.Random(seed)
    return [make_story(rng) for _ in range(count)]


if __name__ == "__main__":
    seed, count = (int(arg) for arg in (sys.argv[1:] + ["0", "3"][len(sys.argv) - 1:]))
    print("\n\n".join(make_stories(seed, count)))
