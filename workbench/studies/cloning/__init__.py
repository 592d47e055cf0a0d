"""Does a clone sound like its reference, and what does a prompt cost?"""
