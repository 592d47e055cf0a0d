"""What machine is this, what are its limits, and is everything working that should.

``fingerprint()`` and ``state()`` go into every record, ``measure_ceilings()`` gives the limits
that a time stands beside, ``validate()`` the table of checks. Nothing happens at import.
"""
