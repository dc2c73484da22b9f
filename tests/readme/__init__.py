"""The README's commands and answers, run and compared; ``make readme`` writes the answers again."""
