//! The modules of a generated organisation, with custom fields of every type.

use crate::org::schema::{
    Computed, CustomView, DataType, External, Field, Module, RelatedList, common,
};

const OWN: usize = common::TAG + 1;

fn field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type)
}

fn custom(name: &str, data_type: DataType) -> Field {
    Field {
        custom: true,
        ..Field::new(name, data_type)
    }
}

fn mandatory(name: &str, data_type: DataType) -> Field {
    Field {
        mandatory: true,
        ..Field::new(name, data_type)
    }
}

fn lookup(name: &str, target: &str) -> Field {
    Field {
        target: Some(target.to_owned()),
        ..Field::new(name, DataType::Lookup)
    }
}

fn picklist(name: &str, choices: &[&str]) -> Field {
    Field {
        choices: choices.iter().map(|choice| (*choice).to_owned()).collect(),
        ..Field::new(name, DataType::Picklist)
    }
}

fn computed(name: &str, data_type: DataType, computed: Computed) -> Field {
    Field {
        computed: Some(computed),
        custom: true,
        read_only: true,
        ..Field::new(name, data_type)
    }
}

fn own(mut field: Field) -> Field {
    field.custom = true;
    field
}

fn address(kind: &str) -> Vec<Field> {
    ["Street", "City", "State", "Code", "Country"]
        .iter()
        .map(|part| field(&format!("{kind}_{part}"), DataType::Text))
        .collect()
}

/// Stages of a deal, with the probability of each.
pub(super) const STAGES: [(&str, u8); 9] = [
    ("Qualification", 10),
    ("Needs Analysis", 20),
    ("Value Proposition", 40),
    ("Identify Decision Makers", 60),
    ("Proposal/Price Quote", 75),
    ("Negotiation/Review", 90),
    ("Closed Won", 100),
    ("Closed Lost", 0),
    ("Closed Lost to Competition", 0),
];

/// Industries of an account.
pub(super) const INDUSTRIES: [&str; 8] = [
    "Manufacturing",
    "Technology",
    "Healthcare",
    "Retail",
    "Education",
    "Energy",
    "Logistics",
    "Non-profit",
];

/// Statuses of a task.
pub(super) const TASK_STATUSES: [&str; 5] = [
    "Not Started",
    "Deferred",
    "In Progress",
    "Completed",
    "Waiting on someone else",
];

/// Priorities of a task.
pub(super) const PRIORITIES: [&str; 5] = ["High", "Highest", "Low", "Lowest", "Normal"];

/// What a multi-select picklist offers.
pub(super) const INTERESTS: [&str; 6] = [
    "Hardware",
    "Software",
    "Support",
    "Training",
    "Consulting",
    "Spare; parts",
];

/// Accounts, Contacts, Deals and Tasks.
pub fn standard(unique_external_id: bool) -> Vec<Module> {
    vec![accounts(unique_external_id), contacts(), deals(), tasks()]
}

fn accounts(unique_external_id: bool) -> Module {
    let mut fields = vec![
        Field {
            indexed: true,
            ..mandatory("Account_Name", DataType::Text)
        },
        lookup("Parent_Account", "Accounts"),
        field("Account_Number", DataType::BigInt),
        field("Phone", DataType::Phone),
        field("Website", DataType::Website),
        picklist("Industry", &INDUSTRIES),
        picklist(
            "Account_Type",
            &["Customer", "Partner", "Prospect", "Supplier"],
        ),
        field("Annual_Revenue", DataType::Currency),
        field("Employees", DataType::Integer),
        field("Description", DataType::TextArea),
        own(Field {
            unique: unique_external_id,
            indexed: true,
            ..field("External_ID", DataType::Text)
        }),
        own(Field {
            external: Some(External::Organisation),
            indexed: true,
            ..field("Partner_Reference", DataType::Text)
        }),
        own(picklist(
            "Customer_Status",
            &["Prospect", "Active", "Churned"],
        )),
        own(Field {
            choices: INTERESTS.map(str::to_owned).to_vec(),
            ..field("Interests", DataType::MultiSelectPicklist)
        }),
        custom("Support_Email", DataType::Email),
        custom("Contract_Start", DataType::Date),
        custom("Last_Audit", DataType::DateTime),
        custom("Health_Score", DataType::Double),
        custom("Discount", DataType::Percent),
        custom("Key_Account", DataType::Boolean),
        custom("Notes_Rich", DataType::RichText),
        custom("Success_Manager", DataType::UserLookup),
        own(lookup("Billing_Contact", "Contacts")),
        own(Field {
            target: Some("Contacts".to_owned()),
            ..field("Decision_Makers", DataType::MultiSelectLookup)
        }),
        own(Field {
            columns: vec![
                custom("Product", DataType::Text),
                custom("Quantity", DataType::Integer),
                custom("Price", DataType::Currency),
            ],
            ..field("Installed_Products", DataType::Subform)
        }),
        computed(
            "Age_In_Days",
            DataType::Formula,
            Computed::DaysSinceCreation,
        ),
        computed(
            "Deal_Count",
            DataType::RollupSummary,
            Computed::CountOf("Deals".to_owned(), "Account_Name".to_owned()),
        ),
        computed(
            "Deal_Total",
            DataType::RollupSummary,
            Computed::SumOf(
                "Deals".to_owned(),
                "Account_Name".to_owned(),
                "Amount".to_owned(),
            ),
        ),
        custom("Serial", DataType::AutoNumber),
        custom("Workflow_Runs", DataType::Integer),
        field("Last_Activity_Time", DataType::DateTime),
    ];
    if let Some(last) = fields.last_mut() {
        last.read_only = true;
    }
    fields.extend(address("Billing"));
    fields.extend(address("Shipping"));
    let mut module = Module::new("Accounts", "Account", fields);
    module.display = OWN;
    module.duplicate_field = Some(OWN);
    module.related = related(&[
        ("Contacts", "Contacts", "Account_Name"),
        ("Deals", "Deals", "Account_Name"),
        ("Tasks", "Tasks", "What_Id"),
        ("Member_Accounts", "Accounts", "Parent_Account"),
    ]);
    module.views = vec![
        view("All Accounts", Some("ALLVIEWS"), None),
        view("Active Customers", None, Some("Customer_Status = 'Active'")),
    ];
    module
}

fn contacts() -> Module {
    let mut fields = vec![
        field("First_Name", DataType::Text),
        mandatory("Last_Name", DataType::Text),
        Field {
            computed: Some(Computed::FullName),
            read_only: true,
            ..field("Full_Name", DataType::Text)
        },
        Field {
            indexed: true,
            ..field("Email", DataType::Email)
        },
        field("Secondary_Email", DataType::Email),
        field("Phone", DataType::Phone),
        field("Mobile", DataType::Phone),
        lookup("Account_Name", "Accounts"),
        lookup("Reporting_To", "Contacts"),
        field("Title", DataType::Text),
        field("Department", DataType::Text),
        picklist(
            "Lead_Source",
            &[
                "Advertisement",
                "Cold Call",
                "Employee Referral",
                "Web Research",
                "Trade Show",
            ],
        ),
        field("Date_of_Birth", DataType::Date),
        field("Email_Opt_Out", DataType::Boolean),
        field("Description", DataType::TextArea),
        own(Field {
            choices: INTERESTS.map(str::to_owned).to_vec(),
            ..field("Topics", DataType::MultiSelectPicklist)
        }),
        custom("Badge_Number", DataType::BigInt),
        custom("Satisfaction", DataType::Double),
        custom("Mentor", DataType::UserLookup),
        computed(
            "Account_Industry",
            DataType::Formula,
            Computed::Through(OWN + 7, "Industry".to_owned()),
        ),
        custom("Workflow_Runs", DataType::Integer),
    ];
    fields.extend(address("Mailing"));
    let mut module = Module::new("Contacts", "Contact", fields);
    module.display = OWN + 2;
    module.duplicate_field = Some(OWN + 3);
    module.related = related(&[
        ("Deals", "Deals", "Contact_Name"),
        ("Tasks", "Tasks", "Who_Id"),
        ("Reporting_Contacts", "Contacts", "Reporting_To"),
    ]);
    module.views = vec![
        view("All Contacts", Some("ALLVIEWS"), None),
        view("Contacts without Email", None, Some("Email is null")),
    ];
    module
}

fn deals() -> Module {
    let stages: Vec<&str> = STAGES.iter().map(|(stage, _)| *stage).collect();
    let fields = vec![
        Field {
            indexed: true,
            ..mandatory("Deal_Name", DataType::Text)
        },
        lookup("Account_Name", "Accounts"),
        lookup("Contact_Name", "Contacts"),
        Field {
            mandatory: true,
            strict_choices: true,
            ..picklist("Stage", &stages)
        },
        field("Amount", DataType::Currency),
        field("Closing_Date", DataType::Date),
        field("Probability", DataType::Percent),
        Field {
            computed: Some(Computed::ShareOf(OWN + 4, OWN + 6)),
            read_only: true,
            ..field("Expected_Revenue", DataType::Currency)
        },
        picklist("Type", &["Existing Business", "New Business"]),
        picklist(
            "Lead_Source",
            &[
                "Advertisement",
                "Cold Call",
                "Employee Referral",
                "Web Research",
                "Trade Show",
            ],
        ),
        field("Next_Step", DataType::Text),
        picklist("Pipeline", &["Standard (Standard)"]),
        field("Description", DataType::TextArea),
        custom("Start_Date", DataType::Date),
        custom("End_Date", DataType::Date),
        custom("Order_Number", DataType::Text),
        custom("Signed_At", DataType::DateTime),
        custom("Seats", DataType::Integer),
        custom("Margin", DataType::Double),
        custom("Renewal", DataType::Boolean),
        custom("Engineer", DataType::UserLookup),
        computed(
            "Days_To_End",
            DataType::Formula,
            Computed::DaysUntil(OWN + 14),
        ),
        computed(
            "Account_Status",
            DataType::Formula,
            Computed::Through(OWN + 1, "Customer_Status".to_owned()),
        ),
        custom("Deal_Serial", DataType::AutoNumber),
        custom("Workflow_Runs", DataType::Integer),
    ];
    let mut module = Module::new("Deals", "Deal", fields);
    module.display = OWN;
    module.duplicate_field = Some(OWN);
    module.related = related(&[("Tasks", "Tasks", "What_Id")]);
    module.views = vec![
        view("All Deals", Some("ALLVIEWS"), None),
        view("Won Deals", None, Some("Stage = 'Closed Won'")),
    ];
    module
}

fn tasks() -> Module {
    let mut fields = vec![
        mandatory("Subject", DataType::Text),
        field("Due_Date", DataType::Date),
        picklist("Status", &TASK_STATUSES),
        picklist("Priority", &PRIORITIES),
        field("Description", DataType::TextArea),
        lookup("Who_Id", "Contacts"),
        field("What_Id", DataType::MultiModuleLookup),
        Field {
            read_only: true,
            ..field("Closed_Time", DataType::DateTime)
        },
        field("Send_Notification_Email", DataType::Boolean),
        custom("Effort_Hours", DataType::Double),
        custom("Task_Reference", DataType::Text),
    ];
    if let Some(subject) = fields.first_mut() {
        subject.length = 300;
    }
    let mut module = Module::new("Tasks", "Task", fields);
    module.display = OWN;
    module.views = vec![
        view("All Tasks", Some("ALLVIEWS"), None),
        view("Open Tasks", None, Some("Status != 'Completed'")),
    ];
    module
}

fn related(lists: &[(&str, &str, &str)]) -> Vec<RelatedList> {
    lists
        .iter()
        .map(|(name, module, via)| RelatedList {
            id: 0,
            api_name: (*name).to_owned(),
            module: (*module).to_owned(),
            via: (*via).to_owned(),
        })
        .collect()
}

fn view(name: &str, system_name: Option<&str>, condition: Option<&str>) -> CustomView {
    CustomView {
        id: 0,
        name: name.to_owned(),
        system_name: system_name.map(str::to_owned),
        condition: condition.map(str::to_owned),
    }
}
