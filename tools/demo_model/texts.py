"""Prompts that the demo models know, and the right answer to each for a given scene."""

from __future__ import annotations

import json
import random

from tools.demo_model.scenes import COLORS, SHAPES, Scene

CAPTION_PROMPTS = (
    "Describe this image.",
    "Caption this image.",
    "What is in this image?",
    "Write a caption for this image.",
    "Describe the picture.",
    "What do you see?",
    "Write a short caption.",
    "Describe this image in detail.",
    "What does this picture show?",
    "Describe the image.",
)
KEYWORD_PROMPTS = ("List keywords for this image.", "Tag this image.", "Give me tags for this image.")
JSON_PROMPTS = ("Describe this image as JSON.", "Return JSON.")
PAIR_PROMPTS = ("Describe both images.", "Describe these images.")
#: System messages; None as often as there is none.
SYSTEM_MESSAGES = (None, None, None, None, "You are a helpful assistant.", "Answer briefly.")

_GREETING = "Hello! Send me an image of coloured shapes."
_TO_TEN = "one two three four five six seven eight nine ten"
_TO_TWENTY = f"{_TO_TEN} eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
#: Turns without an image, for both models.
TALK = (
    ("Hello", _GREETING),
    ("Hello!", _GREETING),
    ("Hi", _GREETING),
    ("Who are you?", "I am a tiny demo model. I describe images of coloured shapes."),
    ("What can you do?", "I describe images of coloured shapes and answer questions about them."),
    ("Thanks", "You are welcome."),
    ("Thank you", "You are welcome."),
    ("Goodbye", "Goodbye!"),
    ("Count to five.", "one two three four five"),
    ("Count to ten.", _TO_TEN),
    ("Count to twenty.", _TO_TWENTY),
    ("What is a triangle?", "A shape with three sides."),
    ("What is a square?", "A shape with four equal sides."),
    ("What is a circle?", "A round shape."),
    ("Which colours do you know?", ", ".join(COLORS) + "."),
    ("Which shapes do you know?", ", ".join(SHAPES) + "."),
)
#: Turns about an image that is missing, for the vision model and for the text-only one.
NO_IMAGE = tuple((prompt, "There is no image. Please send one.") for prompt in CAPTION_PROMPTS)
NO_EYES = (
    *((prompt, "I cannot see images. I am a tiny text model.") for prompt in CAPTION_PROMPTS),
    ("Tell me a story.", "One day a red circle met a blue square. The end."),
    ("What is your name?", "I am a tiny demo model."),
)


def with_article(word: str) -> str:
    """Return the word with its article: `a circle`, `an orange star`."""
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def caption(scene: Scene) -> str:
    """Return the right answer to all caption prompts."""
    phrase = caption_phrase(scene)
    return phrase[0].upper() + phrase[1:] + "."


def caption_phrase(scene: Scene) -> str:
    """Return the caption as part of a sentence."""
    names = [with_article(shape.name) for shape in scene.shapes]
    ground = with_article(scene.ground) + " background"
    match names:
        case []:
            return f"an empty {scene.ground} background"
        case [_]:
            return f"a {scene.size} {scene.shapes[0].name} on {ground}"
        case [first, second]:
            between = "to the left of" if scene.layout == "row" else "above"
            return f"{first} {between} {second} on {ground}"
        case _:
            return f"{names[0]}, {names[1]} and {names[2]} in a {scene.layout} on {ground}"


def keywords(scene: Scene) -> str:
    """Return the right answer to the keyword prompts."""
    return ", ".join([*(shape.name for shape in scene.shapes), f"{scene.ground} background"])


def as_json(scene: Scene) -> str:
    """Return the right answer to the JSON prompts."""
    return json.dumps({"shapes": [shape.name for shape in scene.shapes], "background": scene.ground})


def question(scene: Scene, rng: random.Random) -> tuple[str, str]:
    """Choose a question about the scene; return it with its answer."""
    color = rng.choice(["colour", "color"])
    ground = (f"What {color} is the background?", scene.ground)
    kind = rng.choices(
        [_color_of_shape, _shape_of_color, _count, _is_there_shape, _is_there_named, _neighbour, None],
        [22, 14, 12, 14, 12, 14, 12],
    )[0]
    asked = kind(scene, rng, color) if kind else None
    return asked or ground


def binding_question(scene: Scene, rng: random.Random) -> tuple[str, str]:
    """Choose a question about which colour belongs to which shape: seeing both somewhere is not enough."""
    kind = rng.choice([_shape_of_color, _is_there_named])
    return kind(scene, rng, "") or question(scene, rng)


def pair_question(first: Scene, second: Scene, rng: random.Random) -> tuple[str, str]:
    """Choose a question about two images; return it with its answer."""
    kind = rng.random()
    if kind < 0.5:
        answer = f"Image 1: {caption_phrase(first)}. Image 2: {caption_phrase(second)}."
        return rng.choice(PAIR_PROMPTS), answer
    if kind < 0.8:
        there = [shape.kind for shape in (*first.shapes, *second.shapes)]
        asked = rng.choice(there) if there and rng.random() < 0.8 else rng.choice(SHAPES)
        holders = (_shows(first, asked), _shows(second, asked))
        answers = {
            (True, True): "both images",
            (True, False): "the first image",
            (False, True): "the second image",
            (False, False): "neither image",
        }
        return f"Which image has {with_article(asked)}?", answers[holders]
    name, scene = rng.choice([("first", first), ("second", second)])
    return f"What is in the {name} image?", caption(scene)


def _shows(scene: Scene, kind: str) -> bool:
    return any(shape.kind == kind for shape in scene.shapes)


def _color_of_shape(scene: Scene, rng: random.Random, color: str) -> tuple[str, str] | None:
    kinds = [shape.kind for shape in scene.shapes]
    single = [shape for shape in scene.shapes if kinds.count(shape.kind) == 1]
    if not single:
        return None
    shape = rng.choice(single)
    return f"What {color} is the {shape.kind}?", shape.color


def _shape_of_color(scene: Scene, rng: random.Random, _: str) -> tuple[str, str] | None:
    colors = [shape.color for shape in scene.shapes]
    single = [shape for shape in scene.shapes if colors.count(shape.color) == 1]
    if not single:
        return None
    shape = rng.choice(single)
    asked = rng.choice([f"Which shape is {shape.color}?", f"What shape is the {shape.color} one?"])
    return asked, shape.kind


def _count(scene: Scene, rng: random.Random, _: str) -> tuple[str, str]:
    asked = rng.choice(["How many shapes are there?", "How many shapes do you see?"])
    return asked, ("zero", "one", "two", "three")[len(scene.shapes)]


def _is_there_shape(scene: Scene, rng: random.Random, _: str) -> tuple[str, str]:
    kinds = [shape.kind for shape in scene.shapes]
    asked = rng.choice(kinds) if kinds and rng.random() < 0.5 else rng.choice(SHAPES)
    return f"Is there {with_article(asked)}?", "yes" if asked in kinds else "no"


def _is_there_named(scene: Scene, rng: random.Random, _: str) -> tuple[str, str]:
    color, kind = rng.choice(list(COLORS)), rng.choice(SHAPES)
    if scene.shapes:
        shape = rng.choice(scene.shapes)
        # Half of the names are in the scene; the others are wrong in only the colour or only the shape.
        wrong = rng.random()
        color = color if wrong < 0.25 else shape.color
        kind = kind if wrong > 0.75 else shape.kind
    name = f"{color} {kind}"
    there = any(shape.name == name for shape in scene.shapes)
    return f"Is there {with_article(name)}?", "yes" if there else "no"


def _neighbour(scene: Scene, rng: random.Random, _: str) -> tuple[str, str] | None:
    if len(scene.shapes) != 2:
        return None
    of = rng.randrange(2)
    where = {
        ("row", 0): "to the right of",
        ("row", 1): "to the left of",
        ("column", 0): "below",
        ("column", 1): "above",
    }[scene.layout, of]
    return f"What is {where} the {scene.shapes[of].name}?", with_article(scene.shapes[1 - of].name)
