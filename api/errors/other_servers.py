"""Endpoints of OpenAI's API that this server does not have, each with the sentence that says so."""

from __future__ import annotations

_SENTENCE = "captionq captions images and answers questions about them; it {lack}. {way_out}"
_ANOTHER = "Set another server for that in your program."


def _sentence(lack: str, way_out: str = _ANOTHER) -> str:
    return _SENTENCE.format(lack=lack, way_out=way_out)


#: The message of the 404 of each path.
OTHER_SERVERS: dict[str, str] = {
    "/v1/embeddings": _sentence("makes no embeddings"),
    "/v1/completions": _sentence("does not complete texts", "Use POST /v1/chat/completions."),
    "/v1/moderations": _sentence("does not moderate texts"),
    "/v1/rerank": _sentence("does not rank texts"),
    **dict.fromkeys(
        ("/v1/images/generations", "/v1/images/edits", "/v1/images/variations"), _sentence("makes no images")
    ),
    "/v1/audio/speech": _sentence("does not speak"),
    **dict.fromkeys(("/v1/audio/transcriptions", "/v1/audio/translations"), _sentence("does not hear")),
}
