"""Training, evaluation and analysis of recurrent models, offline."""
