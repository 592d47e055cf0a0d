"""Turn detectors on generated dialogues: cut-offs against waits."""
