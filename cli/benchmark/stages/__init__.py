"""Where the time of an image goes: the stages of the engine, what pixels, groups and slots change, and the switches for Metal."""
