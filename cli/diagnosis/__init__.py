"""The report of `captionq doctor --report`: facts that help to find a fault.

Nothing in it names a person, a picture, a folder or a key. Every value is a number, a word of captionq's own, or has a form that
leaves no room for other text.
"""
