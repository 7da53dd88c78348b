"""The models on this machine, behind `captionq models`: their details, their removal, their choice.

What a model is lives in jobs/models; its download in cli/runs/model_pull.py.
"""
