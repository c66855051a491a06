"""The report page, figures and their captions."""
