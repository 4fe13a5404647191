"""Programs that show what a survey is; installed as ``psyflow-survey-…-example``."""
