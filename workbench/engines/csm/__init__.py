"""CSM: text in, speech out, whole or streamed; one stream or many."""
