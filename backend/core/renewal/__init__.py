"""Better features for a project: advise, fine-tune, judge, switch to them, roll back."""
