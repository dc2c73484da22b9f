"""The book of the lecture: its commands, figures, numbers, pages and notebook."""
