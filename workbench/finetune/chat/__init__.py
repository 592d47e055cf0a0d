"""A chat model fine-tuned on question → answer pairs."""
