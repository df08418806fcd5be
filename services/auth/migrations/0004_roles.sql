-- Operators make other people operators, or no more. The role changes nothing else of a person that it could not before.

GRANT UPDATE (role) ON auth.app_user TO relay_auth;
