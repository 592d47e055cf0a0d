"""The claims ledger: what source documents say an optimization is worth, and what is so here."""

from workbench.studies.claims.answers import Answer, Standing, answer
from workbench.studies.claims.ledger import Claim, read_claims
from workbench.studies.claims.run import answer_claims, claims_settings
from workbench.studies.claims.written import Answers, read_answers, write_answers

__all__ = [
    "Answer",
    "Answers",
    "Claim",
    "Standing",
    "answer",
    "answer_claims",
    "claims_settings",
    "read_answers",
    "read_claims",
    "write_answers",
]
