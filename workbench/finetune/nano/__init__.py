"""The nano voice: small Mimi and CSM models trained on synthetic speech."""
