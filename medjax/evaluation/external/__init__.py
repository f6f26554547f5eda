"""A trained model on patients of another place: what holds, what does not, what would mend it."""
