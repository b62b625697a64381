"""The pages of the documentation that are made when it is built: from the code, the README and the experiments."""
