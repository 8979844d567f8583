"""Changes of the champion: request, approval, promotion, rollback, and the files that publish them; imported above."""
