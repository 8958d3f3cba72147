"""The challenges of EPIC-KITCHENS-100: their scores, as the official scorers give them, and their submissions."""
