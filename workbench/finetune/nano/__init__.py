"""The nano voice: small Mimi and CSM models trained on synthetic speech."""

# In the order in which they run; "all" runs every one.
STAGES = (
    "all",
    "data",
    "alignment",
    "codec",
    "encode",
    "language",
    "decoder",
    "evaluate",
    "export",
)

# The same from the shipped models: more voices, to be cloned.
CLONING_STAGES = (
    "all",
    "data",
    "adopt",
    "codec",
    "encode",
    "decoder",
    "language",
    "evaluate",
    "export",
)

# whisper-nano's, likewise.
WHISPER_STAGES = ("all", "data", "own", "recognizer", "evaluate", "export")

# chat-nano's; its data is drawn while it trains.
CHAT_STAGES = ("all", "model", "evaluate", "export")

# speaker-nano's, and the sample voices'.
SPEAKER_STAGES = ("all", "data", "encoder", "evaluate", "export", "voices")
