"""The HTTP API that programs call: it makes jobs and shows their results, and never loads a model."""
