"""Answers that decline to answer, and captions that only look like it."""

from __future__ import annotations

import pytest

from worker.engine.answer_quality import judge
from worker.engine.refusals import is_refusal


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I cannot assist with this request.",
        "Sorry, I am not able to identify people in images.",
        "I apologize, but I'm unable to view the image.",
        "Unfortunately, I can't describe this picture.",
        "I cannot provide a description of this image as it may contain explicit content.",
        '"I can\'t assist with that."',
        "**I'm unable to process this image.**",
        "As an AI language model, I don't have eyes.",
        "As an AI, I cannot see pictures.",
        "I don't see any image. Please upload one.",
        "There is no image provided.",
        "Please provide an image so that I can describe it.",
        "I must decline to describe this picture.",
        "Es tut mir leid, aber ich kann dieses Bild nicht beschreiben.",
        "Leider kann ich dabei nicht helfen.",
        "Ich kann dieses Bild leider nicht beschreiben.",
        "Als KI-Sprachmodell kann ich keine Bilder sehen.",
        "Je suis désolé, mais je ne peux pas décrire cette image.",
        "Désolée, je ne peux pas vous aider.",
        "Je ne suis pas en mesure d'identifier cette personne.",
        "Lo siento, pero no puedo ayudar con eso.",
        "No puedo describir esta imagen.",
        "Mi dispiace, ma non posso descrivere questa immagine.",
        "Desculpe, não posso ajudar com isso.",
        "Het spijt me, maar ik kan deze afbeelding niet beschrijven.",
        "Przepraszam, ale nie mogę opisać tego zdjęcia.",
        "Извините, но я не могу описать это изображение.",
        "Üzgünüm, bu konuda yardımcı olamam.",
        "عذرًا، لا أستطيع وصف هذه الصورة.",
        "很抱歉，我无法描述这张图片。",
        "我无法提供这张图片的描述。",
        "作为一个AI语言模型，我看不到图片。",
        "申し訳ありませんが、この画像を説明することはできません。",
        "죄송합니다. 이 이미지를 설명할 수 없습니다.",
    ],
)
def test_an_answer_that_declines_is_a_refusal(text: str) -> None:
    """In each language that models answer in, with quotes or Markdown around it."""
    assert is_refusal(text)
    assert judge(text, [1, 2, 3], "stop") == "refusal"
    assert judge(text, [1, 2, 3], "length") == "refusal"


@pytest.mark.parametrize(
    "text",
    [
        "A woman says sorry to a child.",
        "A sign that reads: I'm sorry, I can't help with that.",
        "I'm sorry I can't be there tonight.",
        "Sorry, we are closed.",
        "I can't see the forest for the trees.",
        "I can't believe it's not butter.",
        "I am legend",
        "As an airplane takes off, I wave.",
        "There is no image of a dog in the frame, only a cat.",
        "No images of people; tags: sea, sky",
        "Please provide your own towel.",
        "Unfortunately blurred photo of a red car that cannot be identified.",
        "Leider unscharfes Foto eines Autos.",
        "Eine Frau, die sagt: Es tut mir leid.",
        "Désolé, fermé le lundi.",
        "Lo siento, cerrado.",
        "一个女孩说很抱歉，我无法参加。",
        "A blue circle, a red square",
    ],
)
def test_a_caption_about_regrets_is_none(text: str) -> None:
    """Transcribed signs, and captions that have the same words further on."""
    assert not is_refusal(text)
