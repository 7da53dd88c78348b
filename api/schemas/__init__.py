"""The shapes of bodies and answers on the wire."""
