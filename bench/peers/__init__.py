"""The same image model and the same pictures behind other servers, as their own pages show it."""
