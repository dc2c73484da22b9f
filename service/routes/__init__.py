"""HTTP in, HTTP out: parse, admit, answer. One file for each thing that can be asked."""
