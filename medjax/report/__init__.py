"""Pages, sections, charts."""
