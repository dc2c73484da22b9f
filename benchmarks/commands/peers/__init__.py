"""Commands that compare with other programs, which the extra `bench` installs."""
