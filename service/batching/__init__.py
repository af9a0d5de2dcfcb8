"""TIME: when to run what with whom. Never looks inside an item beyond its cost."""
