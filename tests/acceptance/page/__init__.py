"""Tests of the page in a real browser. One browser and one server serve all files of this folder."""
