"""ENGINES TOGETHER: several processes behind one port that look like one from outside."""
