"""Is someone speaking, and are they done?"""
